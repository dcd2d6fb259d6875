//! Whether a bucket is fit to keep a journal: closed to strangers, encrypted, and on OSS without versions. It looks, and
//! changes nothing; what may not be asked is said to be unknown, and never taken for well.

use quick_xml::events::Event;
use serde::Deserialize;

use super::address::Provider;
use super::ask::{Asker, Said};
use crate::cloud::Finding;

const ACCESS: &str = "journal access";
const ENCRYPTION: &str = "journal encryption";
const VERSIONS: &str = "journal versions";

/// Whoever writes there gives orders, and whoever reads there learns what runs where.
const STRANGERS: &str =
    "whoever can write to the journal gives orders, and whoever can read it learns what runs where";

/// What is wrong with a bucket, and what is well.
pub(super) async fn examine(provider: Provider, place: &str, asker: &Asker) -> Vec<Finding> {
    match provider {
        Provider::S3 => {
            vec![access(place, &s3_doors(asker).await), encryption(place, s3_cipher(asker).await)]
        }
        Provider::Oss => {
            let doors = access(place, &oss_doors(asker).await);
            vec![
                doors,
                encryption(place, oss_cipher(asker).await),
                versions(place, oss_versions(asker).await),
            ]
        }
    }
}

/// The ways by which strangers could come in.
struct Doors {
    /// What is kept shut, whatever the policy and the lists say.
    block: Said<Block>,
    /// Whether the bucket's policy lets strangers in.
    policy: Said<bool>,
    /// Whether its access list does.
    list: Said<bool>,
}

/// What is kept shut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Block {
    policy: bool,
    list: bool,
    /// Also for whatever is set later.
    later: bool,
}

fn access(place: &str, doors: &Doors) -> Finding {
    let shut = |shuts: fn(&Block) -> bool| matches!(&doors.block, Said::Known(block) if shuts(block));
    let ways =
        [("policy", shut(|it| it.policy), &doors.policy), ("access list", shut(|it| it.list), &doors.list)];
    let (mut open, mut unknown) = (Vec::new(), Vec::new());
    for (name, shut, said) in ways {
        match said {
            _ if shut => {}
            Said::Known(false) => {}
            Said::Known(true) => open.push(name),
            Said::Unknown(why) => unknown.push(format!("{name}: {why}")),
        }
    }
    if !open.is_empty() {
        return Finding::fail(
            ACCESS,
            format!("`{place}` is open to strangers by its {}", open.join(" and its ")),
        )
        .why(STRANGERS)
        .mend("block all public access to the bucket");
    }
    if let Said::Unknown(why) = &doors.block {
        unknown.push(format!("public access block: {why}"));
    }
    match &doors.block {
        _ if !unknown.is_empty() => Finding::unchecked(
            ACCESS,
            format!("whether `{place}` is private is unknown ({})", unknown.join("; ")),
        )
        .why(STRANGERS)
        .mend("let this role ask; the README names the permissions"),
        Said::Known(Block { later: true, .. }) => {
            Finding::ok(ACCESS, format!("`{place}` is private, and its public access block keeps it so"))
        }
        Said::Known(_) | Said::Unknown(_) => Finding::warn(
            ACCESS,
            format!("`{place}` is private now, and its own public access block does not keep it so"),
        )
        .why(STRANGERS)
        .mend("block all public access to the bucket, unless the account does for all of them"),
    }
}

fn encryption(place: &str, cipher: Said<Option<String>>) -> Finding {
    match cipher {
        Said::Known(Some(cipher)) => Finding::ok(ENCRYPTION, format!("`{place}` encrypts with {cipher}")),
        Said::Known(None) => Finding::warn(ENCRYPTION, format!("`{place}` does not encrypt by itself"))
            .why("the journal tells what runs where; a copy of a disk should not")
            .mend("set the bucket's default encryption"),
        Said::Unknown(why) => {
            Finding::unchecked(ENCRYPTION, format!("whether `{place}` encrypts is unknown ({why})"))
                .mend("let this role ask; the README names the permissions")
        }
    }
}

fn versions(place: &str, status: Said<Option<String>>) -> Finding {
    let why = "where OSS keeps versions, or kept them, it overwrites what should be created only if absent: two runners \
               could both own a rollout";
    match status {
        Said::Known(None) => Finding::ok(VERSIONS, format!("`{place}` never had versions")),
        Said::Known(Some(status)) => {
            Finding::fail(VERSIONS, format!("versioning of `{place}` is `{status}`"))
                .why(why)
                .mend("keep the journal in a bucket that never had versioning; it cannot be undone")
        }
        Said::Unknown(said) => {
            Finding::unchecked(VERSIONS, format!("whether `{place}` has versions is unknown ({said})"))
                .why(why)
                .mend("let this role ask; replies to writes tell it too, and such a bucket is refused then")
        }
    }
}

async fn s3_doors(asker: &Asker) -> Doors {
    let block = |text: Option<&str>| {
        let Some(text) = text else { return Ok(Block::default()) };
        let it: S3Block = xml("PublicAccessBlockConfiguration", text)?;
        let all = it.block_public_acls
            && it.ignore_public_acls
            && it.block_public_policy
            && it.restrict_public_buckets;
        Ok(Block { policy: it.restrict_public_buckets, list: it.ignore_public_acls, later: all })
    };
    Doors {
        block: asker.ask("publicAccessBlock", &["NoSuchPublicAccessBlockConfiguration"], block).await,
        policy: asker.ask("policyStatus", &["NoSuchBucketPolicy"], public_policy).await,
        list: asker.ask("acl", &[], s3_public_list).await,
    }
}

async fn oss_doors(asker: &Asker) -> Doors {
    let block = |text: Option<&str>| {
        let Some(text) = text else { return Ok(Block::default()) };
        let it: OssBlock = xml("PublicAccessBlockConfiguration", text)?;
        let all = it.block_public_access;
        Ok(Block { policy: all, list: all, later: all })
    };
    let list = |text: Option<&str>| {
        let it: OssList = xml("AccessControlPolicy", text.ok_or("no list")?)?;
        match it.access_control_list.grant.as_str() {
            "private" => Ok(false),
            "public-read" | "public-read-write" => Ok(true),
            other => Err(format!("the access `{}`", other.escape_debug())),
        }
    };
    Doors {
        block: asker.ask("publicAccessBlock", &["NoSuchPublicAccessBlockConfiguration"], block).await,
        policy: asker.ask("policyStatus", &["NoSuchBucketPolicy"], public_policy).await,
        list: asker.ask("acl", &[], list).await,
    }
}

/// Both clouds say it alike; without a policy nobody comes in by one.
fn public_policy(text: Option<&str>) -> Result<bool, String> {
    let Some(text) = text else { return Ok(false) };
    let it: PolicyStatus = xml("PolicyStatus", text)?;
    match it.is_public.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("public is `{}`", other.escape_debug())),
    }
}

/// Whether a list gives anything to everybody, or to everybody who has an account anywhere.
fn s3_public_list(text: Option<&str>) -> Result<bool, String> {
    let it: S3List = xml("AccessControlPolicy", text.ok_or("no list")?)?;
    let groups = it.access_control_list.grant.into_iter().filter_map(|grant| grant.grantee.uri);
    let strangers =
        |uri: &str| uri.ends_with("/global/AllUsers") || uri.ends_with("/global/AuthenticatedUsers");
    Ok(groups.into_iter().any(|uri| strangers(&uri)))
}

async fn s3_cipher(asker: &Asker) -> Said<Option<String>> {
    let absent = ["ServerSideEncryptionConfigurationNotFoundError"];
    let read = |text: &str| cipher(xml::<S3Encryption>("ServerSideEncryptionConfiguration", text)?.rule);
    asker.ask("encryption", &absent, |text| text.map(read).transpose()).await
}

async fn oss_cipher(asker: &Asker) -> Said<Option<String>> {
    // OSS has its one rule at the root.
    let read = |text: &str| cipher(vec![xml::<Rule>("ServerSideEncryptionRule", text)?]);
    asker.ask("encryption", &["NoSuchServerSideEncryptionRule"], |text| text.map(read).transpose()).await
}

fn cipher(rules: Vec<Rule>) -> Result<String, String> {
    let first = rules.into_iter().find_map(|rule| rule.default).ok_or("no rule")?;
    let mut known = ["AES256", "KMS", "SM4", "aws:kms", "aws:kms:dsse"].into_iter();
    let known = known.find(|known| *known == first.algorithm);
    known.map(str::to_owned).ok_or_else(|| format!("the cipher `{}`", first.algorithm.escape_debug()))
}

async fn oss_versions(asker: &Asker) -> Said<Option<String>> {
    let read = |text: Option<&str>| {
        let it: Versioning = xml("VersioningConfiguration", text.ok_or("no status")?)?;
        Ok(it.status.map(|status| status.chars().filter(char::is_ascii_alphabetic).take(20).collect()))
    };
    asker.ask("versioning", &[], read).await
}

/// A document of this kind. A server that does not know a question may answer another one, such as with a listing.
fn xml<T: serde::de::DeserializeOwned>(root: &str, text: &str) -> Result<T, String> {
    let other = || "it is not what was asked for".to_owned();
    let mut reader = quick_xml::Reader::from_str(text);
    let first = loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => break element,
            Ok(Event::Eof) | Err(_) => return Err(other()),
            Ok(_) => {}
        }
    };
    if first.local_name().as_ref() != root {
        return Err(other());
    }
    quick_xml::de::from_str(text).map_err(|_| other())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct S3Block {
    #[serde(default)]
    block_public_acls: bool,
    #[serde(default)]
    ignore_public_acls: bool,
    #[serde(default)]
    block_public_policy: bool,
    #[serde(default)]
    restrict_public_buckets: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OssBlock {
    block_public_access: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyStatus {
    is_public: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct S3List {
    access_control_list: Grants,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Grants {
    #[serde(default)]
    grant: Vec<Grant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Grant {
    grantee: Grantee,
}

#[derive(Deserialize)]
struct Grantee {
    #[serde(rename = "URI")]
    uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OssList {
    access_control_list: OssGrant,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OssGrant {
    grant: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct S3Encryption {
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "ApplyServerSideEncryptionByDefault")]
    default: Option<Cipher>,
}

#[derive(Deserialize)]
struct Cipher {
    #[serde(rename = "SSEAlgorithm")]
    algorithm: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Versioning {
    status: Option<String>,
}
