//! What `doctor` finds out about a bucket: by signed questions, and unknown where it may not ask.

use deployer::cloud::{Finding, Severity};
use deployer::journal::Provider;

use crate::fake_bucket::{Fake, SECRET};

const S3: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

fn block(all: [bool; 4]) -> String {
    let [acls, ignored, policy, restricted] = all;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PublicAccessBlockConfiguration {S3}>\
         <BlockPublicAcls>{acls}</BlockPublicAcls><IgnorePublicAcls>{ignored}</IgnorePublicAcls>\
         <BlockPublicPolicy>{policy}</BlockPublicPolicy><RestrictPublicBuckets>{restricted}</RestrictPublicBuckets>\
         </PublicAccessBlockConfiguration>"
    )
}

fn policy(public: &str) -> String {
    format!("<PolicyStatus {S3}><IsPublic>{public}</IsPublic></PolicyStatus>")
}

/// The owner's own grant, and one more.
fn list(more: &str) -> String {
    let type_ = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type";
    format!(
        "<AccessControlPolicy {S3}><Owner><ID>me</ID></Owner><AccessControlList><Grant>\
         <Grantee {type_}=\"CanonicalUser\"><ID>me</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>{more}\
         </AccessControlList></AccessControlPolicy>"
    )
}

fn to_group(name: &str) -> String {
    let uri = format!("http://acs.amazonaws.com/groups/{name}");
    format!("<Grant><Grantee><URI>{uri}</URI></Grantee><Permission>READ</Permission></Grant>")
}

const CIPHER: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
                      <SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>\
                      </ServerSideEncryptionConfiguration>";
const NO_CIPHER: &str = "ServerSideEncryptionConfigurationNotFoundError";

/// A bucket as AWS makes them.
fn sound_s3() -> Fake {
    let fake = Fake::start(Provider::S3);
    fake.answer("publicAccessBlock", 200, &block([true; 4]));
    fake.answer("policyStatus", 404, "NoSuchBucketPolicy");
    fake.answer("acl", 200, &list(""));
    fake.answer("encryption", 200, CIPHER);
    fake
}

fn oss_list(access: &str) -> String {
    let access = format!("<AccessControlList><Grant>{access}</Grant></AccessControlList>");
    format!("<AccessControlPolicy><Owner><ID>1</ID></Owner>{access}</AccessControlPolicy>")
}

fn oss_block(on: bool) -> String {
    let on = format!("<BlockPublicAccess>{on}</BlockPublicAccess>");
    format!("<PublicAccessBlockConfiguration>{on}</PublicAccessBlockConfiguration>")
}

fn versions(status: &str) -> String {
    format!("<VersioningConfiguration>{status}</VersioningConfiguration>")
}

fn sound_oss() -> Fake {
    let fake = Fake::start(Provider::Oss);
    fake.answer("publicAccessBlock", 200, &oss_block(true));
    fake.answer("policyStatus", 404, "NoSuchBucketPolicy");
    fake.answer("acl", 200, &oss_list("private"));
    let cipher = "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
                  <KMSMasterKeyID></KMSMasterKeyID></ApplyServerSideEncryptionByDefault>";
    fake.answer("encryption", 200, &format!("<ServerSideEncryptionRule>{cipher}</ServerSideEncryptionRule>"));
    fake.answer("versioning", 200, &versions(""));
    fake
}

async fn found(fake: &Fake) -> Vec<Finding> {
    let found = fake.store("doctor").examine().await.unwrap();
    assert_eq!((fake.refused_signatures(), fake.objects().len()), (0, 0), "it asks, and changes nothing");
    found
}

async fn severities(fake: &Fake) -> Vec<Severity> {
    found(fake).await.into_iter().map(|finding| finding.severity).collect()
}

use Severity::{Fail, Ok as Well, Unchecked, Warn};

#[tokio::test]
async fn a_bucket_that_is_closed_and_encrypted_is_well() {
    assert_eq!(severities(&sound_s3()).await, [Well, Well]);
    assert_eq!(severities(&sound_oss()).await, [Well, Well, Well]);
    // What the block keeps shut needs no other answer.
    let fake = sound_s3();
    fake.answer("policyStatus", 403, "AccessDenied");
    fake.answer("acl", 200, &list(&to_group("global/AllUsers")));
    assert_eq!(severities(&fake).await, [Well, Well]);
}

#[tokio::test]
async fn what_lets_strangers_in_fails() {
    let one_off = |fake: &Fake| fake.answer("publicAccessBlock", 404, "NoSuchPublicAccessBlockConfiguration");
    for (question, answer) in [
        ("policyStatus", policy("TRUE")),
        ("acl", list(&to_group("global/AllUsers"))),
        ("acl", list(&to_group("global/AuthenticatedUsers"))),
    ] {
        let fake = sound_s3();
        one_off(&fake);
        fake.answer(question, 200, &answer);
        assert_eq!(severities(&fake).await[0], Fail, "{answer}");
        // Who is let in is known, even where nobody says whether a block holds them off.
        fake.answer("publicAccessBlock", 403, "AccessDenied");
        assert_eq!(severities(&fake).await[0], Fail, "{answer}");
    }
    for access in ["public-read", "public-read-write"] {
        let fake = sound_oss();
        fake.answer("publicAccessBlock", 200, &oss_block(false));
        fake.answer("acl", 200, &oss_list(access));
        assert_eq!(severities(&fake).await[0], Fail, "{access}");
    }
    // One half of the block does not hold off what comes by the other.
    let fake = sound_s3();
    fake.answer("publicAccessBlock", 200, &block([true, true, true, false]));
    fake.answer("policyStatus", 200, &policy("true"));
    assert_eq!(severities(&fake).await[0], Fail);
}

#[tokio::test]
async fn what_is_private_by_chance_and_what_is_not_encrypted_is_warned_of() {
    let fake = sound_s3();
    fake.answer("publicAccessBlock", 404, "NoSuchPublicAccessBlockConfiguration");
    fake.answer("policyStatus", 200, &policy("FALSE"));
    fake.answer("acl", 200, &list(&to_group("s3/LogDelivery")));
    fake.answer("encryption", 404, NO_CIPHER);
    assert_eq!(severities(&fake).await, [Warn, Warn]);
    let fake = sound_oss();
    fake.answer("publicAccessBlock", 200, &oss_block(false));
    fake.answer("encryption", 404, "NoSuchServerSideEncryptionRule");
    assert_eq!(severities(&fake).await, [Warn, Warn, Well]);
}

#[tokio::test]
async fn versions_on_oss_fail_even_where_they_are_suspended() {
    for status in ["Enabled", "Suspended"] {
        let fake = sound_oss();
        fake.answer("versioning", 200, &versions(&format!("<Status>{status}</Status>")));
        let found = found(&fake).await;
        assert_eq!(found[2].severity, Fail);
        assert!(found[2].what.contains(status), "{found:?}");
    }
}

#[tokio::test]
async fn what_may_not_be_asked_is_unknown_and_never_well() {
    for (status, code) in
        [(403, "AccessDenied"), (501, "NotImplemented"), (503, "SlowDown"), (404, "NoSuchBucket")]
    {
        for (fake, questions) in [
            (sound_s3(), &["publicAccessBlock", "encryption"][..]),
            (sound_oss(), &["publicAccessBlock", "encryption", "versioning"][..]),
        ] {
            for question in questions {
                fake.answer(question, status, code);
            }
            let found = found(&fake).await;
            for finding in &found {
                assert_eq!(finding.severity, Unchecked, "{code}: {found:?}");
                assert!(finding.what.contains(code), "{found:?}");
            }
        }
    }
    // A server that knows none of these questions answers with a listing, which is no answer.
    for provider in [Provider::S3, Provider::Oss] {
        let all = found(&Fake::start(provider)).await;
        assert!(all.iter().all(|finding| finding.severity == Unchecked), "{all:?}");
    }
    // Nor is an answer in words that nobody knows.
    let fake = sound_oss();
    fake.answer("publicAccessBlock", 200, &oss_block(false));
    fake.answer("acl", 200, &oss_list("open\u{1b}[1m"));
    let strange = found(&fake).await;
    assert_eq!(strange[0].severity, Unchecked);
    assert!(!strange[0].what.contains('\u{1b}'));
    fake.answer("acl", 200, &list(""));
    assert_eq!(severities(&fake).await[0], Unchecked);
}

#[tokio::test]
async fn a_wrong_key_is_told_without_showing_it() {
    let fake = sound_s3();
    let found = fake.store_with("n", "prefix", "another-secret").examine().await.unwrap();
    let shown = format!("{found:?}");
    assert!(found.iter().all(|finding| finding.severity == Unchecked), "{shown}");
    assert!(shown.contains("SignatureDoesNotMatch") && !shown.contains("another-secret"), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
}
