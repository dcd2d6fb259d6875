//! The CLI's profiles, each mode as the official chain takes it.

use std::collections::BTreeMap;

use reqwest::Url;

use super::credentials::Session;
use super::server::{Act, Seen};
use super::tests::{Desk, desk, sts};
use crate::cloud::{Fault, clock};

const LATER: &str = "2099-01-02T05:00:00Z";

fn role(n: usize, _: &Seen) -> Act {
    sts(n, LATER)
}

async fn with(profiles: &str) -> Desk {
    let text = format!(r#"{{"current":"it","profiles":[{profiles}]}}"#);
    desk(&[], &[(".aliyun/config.json", &text)], role).await
}

async fn refused(profiles: &str) -> Fault {
    with(profiles).await.credentials.keys("Do").await.unwrap_err()
}

fn fields(seen: &Seen) -> BTreeMap<String, String> {
    Url::parse(&format!("http://x/?{}", seen.query)).unwrap().query_pairs().into_owned().collect()
}

const KEY: &str = r#"{"name":"key","mode":"AK","access_key_id":"LTAI","access_key_secret":"hush"}"#;

#[tokio::test]
async fn a_role_is_taken_with_the_keys_of_its_own_profile() {
    let profile = r#"{"name":"it","mode":"RamRoleArn","access_key_id":"LTAI","access_key_secret":"hush",
        "ram_role_arn":"acs:ram::1:role/deploy","ram_session_name":"me","expired_seconds":900,"external_id":"x-1"}"#;
    let desk = with(profile).await;
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.0");
    assert_eq!(desk.credentials.session().await, Session::Renewed);
    let [asked] = &desk.server.seen()[..] else { panic!("{:?}", desk.server.seen()) };
    assert_eq!(asked.headers["x-acs-action"], "AssumeRole");
    assert!(asked.headers["authorization"].contains("Credential=LTAI,"), "{asked:?}");
    let said = fields(asked);
    for (name, value) in [
        ("RoleArn", "acs:ram::1:role/deploy"),
        ("RoleSessionName", "me"),
        ("DurationSeconds", "900"),
        ("ExternalId", "x-1"),
    ] {
        assert_eq!(said.get(name).map(String::as_str), Some(value), "{said:?}");
    }
    assert!(!format!("{:?}", desk.server.seen()).contains("hush"));
}

#[tokio::test]
async fn a_chain_of_roles_begins_with_the_profile_that_has_keys() {
    let chain = |name: &str, source: &str| {
        format!(
            r#"{{"name":"{name}","mode":"ChainableRamRoleArn","ram_role_arn":"acs:ram::1:role/{name}","source_profile":"{source}"}}"#
        )
    };
    let desk = with(&[chain("it", "middle"), chain("middle", "key"), KEY.to_owned()].join(",")).await;
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.1");
    let asked: Vec<_> = desk.server.seen().iter().map(|seen| fields(seen)["RoleArn"].clone()).collect();
    assert_eq!(asked, ["acs:ram::1:role/middle", "acs:ram::1:role/it"]);
    assert_eq!(
        desk.server.seen()[1].headers["x-acs-security-token"],
        "t",
        "with the keys of the role before"
    );

    let ring = refused(&[chain("it", "other"), chain("other", "it")].join(",")).await;
    assert!(ring.message.contains("one of a ring"), "{ring}");
    let absent = refused(&chain("it", "nobody")).await;
    assert!(
        absent.message.contains("`it` names the source profile `nobody`, which is not there"),
        "{absent}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_prints_keys_and_what_it_prints_is_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let printed = folder.path().join("printed");
    let text = r#"{"mode":"StsToken","access_key_id":"STS.x","access_key_secret":"hush","sts_token":"t"}"#;
    std::fs::write(&printed, text).unwrap();
    let profile =
        |command: String| format!(r#"{{"name":"it","mode":"External","process_command":"{command}"}}"#);
    let desk = with(&profile(format!("cat {}", printed.display()))).await;
    let keys = desk.credentials.keys("Do").await.unwrap();
    assert_eq!((keys.id.as_str(), keys.token.as_deref()), ("STS.x", Some("t")));
    std::fs::write(&printed, "hush, not JSON").unwrap();
    let broken = refused(&profile(format!("cat {}", printed.display()))).await;
    assert!(broken.message.contains("does not print a profile"), "{broken}");
    assert!(!format!("{broken:?}").contains("hush"), "{broken:?}");
    let faulty =
        [("false", "a command that failed"), ("/no/such/thing", "cannot be run"), ("", "names no command")];
    for (command, why) in faulty {
        let fault = refused(&profile(command.to_owned())).await;
        assert!(fault.message.contains(why), "{fault}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_words_of_a_command_are_those_of_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let printed = folder.path().join("keys of mine");
    std::fs::write(&printed, r#"{"mode":"AK","access_key_id":"LTAI","access_key_secret":"hush"}"#).unwrap();
    let profile = |command: String| {
        serde_json::json!({ "name": "it", "mode": "External", "process_command": command }).to_string()
    };
    let desk = with(&profile(format!("sh -c 'cat \"{}\"'", printed.display()))).await;
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "LTAI");
    let open = refused(&profile("sh -c 'cat".to_owned())).await;
    assert!(open.message.contains("a quote that does not end"), "{open}");
}

/// It was of another mode once, and the CLI leaves behind what it had then.
#[tokio::test]
async fn a_token_that_a_profile_has_no_use_for_is_not_sent() {
    let key = r#""name":"it","access_key_id":"LTAI","access_key_secret":"hush","sts_token":"old""#;
    for (mode, token) in [("AK", None), ("", None), ("StsToken", Some("old"))] {
        let desk = with(&format!(r#"{{"mode":"{mode}",{key}}}"#)).await;
        assert_eq!(desk.credentials.keys("Do").await.unwrap().token.as_deref(), token, "{mode}");
    }
    let desk =
        with(&format!(r#"{{"mode":"RamRoleArn","ram_role_arn":"acs:ram::1:role/deploy",{key}}}"#)).await;
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.0");
    assert_eq!(desk.server.seen()[0].headers.get("x-acs-security-token"), None);
}

async fn section(text: &str) -> Desk {
    let script = |n: usize, seen: &Seen| match seen.path.as_str() {
        "/latest/api/token" => Act::ok("tok"),
        "/latest/meta-data/ram/security-credentials/deploy" => Act::ok(
            r#"{"Code":"Success","AccessKeyId":"STS.ecs","AccessKeySecret":"s","SecurityToken":"t","Expiration":"2099-01-02T05:00:00Z"}"#,
        ),
        _ => role(n, seen),
    };
    let metadata = [
        ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "false"),
        ("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", "{server}"),
    ];
    let text = format!("[default]\n{text}\n[other]\ntype = access_key\n");
    desk(&metadata, &[(".alibabacloud/credentials.ini", &text)], script).await
}

#[tokio::test]
async fn each_type_of_a_credentials_file_is_taken_and_another_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "header.payload.sig\n").unwrap();
    let key = "access_key_id = LTAI # mine\naccess_key_secret = hush\\n\"";
    let role = "role_arn = acs:ram::1:role/deploy\nrole_session_name = me";
    let vouched = format!(
        "oidc_provider_arn = acs:ram::1:oidc-provider/ci\noidc_token_file_path = {}\n{role}",
        token.display()
    );
    for (text, id, asked) in [
        (format!("type = access_key\n{key}"), "LTAI", None),
        (key.to_owned(), "LTAI", None),
        (format!("type = sts\n{key}\nsecurity_token = t"), "LTAI", None),
        (format!("type = ram_role_arn\n{key}\n{role}"), "STS.0", Some("AssumeRole")),
        (format!("type = oidc_role_arn\n{vouched}"), "STS.0", Some("AssumeRoleWithOIDC")),
        ("type = ecs_ram_role\nrole_name = deploy".to_owned(), "STS.ecs", Some("/latest/api/token")),
    ] {
        let desk = section(&text).await;
        let keys = desk.credentials.keys("Do").await.unwrap();
        assert_eq!(keys.id, id, "{text}");
        assert_eq!(keys.token.is_some(), text.contains("security_token") || asked.is_some(), "{text}");
        if id == "LTAI" {
            assert_eq!(keys.secret, "hush\\n\"", "as it is written");
        }
        let seen = desk.server.seen();
        let said = seen.first().map(|one| format!("{} {:?} {}", one.path, one.headers, one.body));
        assert_eq!(said.is_some(), asked.is_some(), "{said:?}");
        assert!(said.unwrap_or_default().contains(asked.unwrap_or_default()), "{text}");
    }
    for (text, why) in [
        ("type = rsa_key_pair\npublic_key_id = k\nprivate_key_file = hush", "of the type `rsa_key_pair`"),
        ("type = ram_role_arn\nrole_arn = acs:ram::1:role/deploy", "has no keys for it"),
        ("type = oidc_role_arn\nrole_arn = acs:ram::1:role/deploy", "names no OIDC provider"),
    ] {
        let fault = section(text).await.credentials.keys("Do").await.unwrap_err();
        let whose = "the credentials file's section `default`";
        assert!(fault.message.contains(whose) && fault.message.contains(why), "{fault}");
        assert!(!format!("{fault:?}").contains("hush"), "{fault:?}");
    }
    let off = section(&format!("enable = false\ntype = access_key\n{key}")).await;
    assert!(off.credentials.keys("Do").await.is_err());
}

#[tokio::test]
async fn a_session_of_cloud_sso_is_used_while_it_goes_on_and_a_browser_is_never_opened() {
    let session = |until: u64| {
        format!(
            r#"{{"name":"it","mode":"CloudSSO","access_key_id":"STS.sso","access_key_secret":"s","sts_token":"t","sts_expiration":{until}}}"#
        )
    };
    let now = clock::now().0 / 1000;
    let desk = with(&session(now + 3600)).await;
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.sso");
    assert_eq!(desk.server.seen().len(), 0);
    for profile in [session(now + 30), r#"{"name":"it","mode":"CloudSSO"}"#.to_owned()] {
        let ended = refused(&profile).await;
        assert!(ended.message.contains("aliyun configure --mode CloudSSO --profile it"), "{ended}");
    }
    let oauth = refused(r#"{"name":"it","mode":"OAuth"}"#).await;
    assert!(oauth.message.contains("needs a browser"), "{oauth}");
}

#[tokio::test]
async fn a_profile_that_cannot_be_used_says_which_and_why() {
    for (profile, why) in [
        (r#"{"name":"it","mode":"RamRoleArn","ram_role_arn":"r"}"#, "has no keys"),
        (
            r#"{"name":"it","mode":"RamRoleArn","access_key_id":"a","access_key_secret":"hush"}"#,
            "names no role",
        ),
        (r#"{"name":"it","mode":"ChainableRamRoleArn"}"#, "names no source profile"),
    ] {
        let fault = refused(profile).await;
        assert!(fault.message.contains(why) && fault.message.contains("`it`"), "{fault}");
        assert!(!format!("{fault:?}").contains("hush"), "{fault:?}");
    }
}

#[tokio::test]
async fn an_instances_role_is_the_one_that_the_profile_names_also_before_a_credentials_file() {
    let profile =
        r#"{"current":"it","profiles":[{"name":"it","mode":"EcsRamRole","ram_role_name":"deploy"}]}"#;
    let other = "[default]\ntype = access_key\naccess_key_id = LTAI\naccess_key_secret = hush\n";
    let files = [(".aliyun/config.json", profile), (".alibabacloud/credentials.ini", other)];
    let script = |_: usize, seen: &Seen| match seen.path.as_str() {
        "/latest/api/token" => Act::ok("tok"),
        "/latest/meta-data/ram/security-credentials/deploy" => Act::ok(
            r#"{"Code":"Success","AccessKeyId":"STS.ecs","AccessKeySecret":"s","SecurityToken":"t","Expiration":"2099-01-02T05:00:00Z"}"#,
        ),
        _ => Act::Say(404, Vec::new(), String::new()),
    };
    let metadata = [
        ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "false"),
        ("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", "{server}"),
    ];
    let desk = desk(&metadata, &files, script).await;
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.ecs");
    let [token, role] = &desk.server.seen()[..] else { panic!("{:?}", desk.server.seen()) };
    assert_eq!((token.method.as_str(), token.path.as_str()), ("PUT", "/latest/api/token"));
    assert!(token.headers.contains_key("x-aliyun-ecs-metadata-token-ttl-seconds"), "{token:?}");
    assert_eq!(role.method, "GET");
    assert_eq!(role.headers["x-aliyun-ecs-metadata-token"], "tok", "{role:?}");
    let off = with(r#"{"name":"it","mode":"EcsRamRole"}"#).await.credentials.keys("Do").await.unwrap_err();
    assert!(off.message.contains("`it` is of an instance's role"), "{off}");
}

#[tokio::test]
async fn a_role_is_taken_with_the_token_in_the_profiles_file_and_in_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "header.payload.sig\n").unwrap();
    let profile = |more: &str| {
        format!(
            r#"{{"name":"it","mode":"OIDC","oidc_token_file":"{}","oidc_provider_arn":"acs:ram::1:oidc-provider/ci"{more}}}"#,
            token.display()
        )
    };
    let desk = with(&profile(
        r#","ram_role_arn":"acs:ram::1:role/deploy","ram_session_name":"me","expired_seconds":900"#,
    ))
    .await;
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.0");
    assert_eq!(desk.credentials.session().await, Session::Renewed);
    let [asked] = &desk.server.seen()[..] else { panic!("{:?}", desk.server.seen()) };
    assert_eq!((asked.query.as_str(), asked.headers.get("authorization")), ("", None));
    let form: BTreeMap<String, String> =
        Url::parse(&format!("http://x/?{}", asked.body)).unwrap().query_pairs().into_owned().collect();
    for (name, value) in [
        ("Action", "AssumeRoleWithOIDC"),
        ("RoleArn", "acs:ram::1:role/deploy"),
        ("OIDCProviderArn", "acs:ram::1:oidc-provider/ci"),
        ("RoleSessionName", "me"),
        ("OIDCToken", "header.payload.sig"),
        ("DurationSeconds", "900"),
    ] {
        assert_eq!(form.get(name).map(String::as_str), Some(value), "{form:?}");
    }
    let bare = refused(&profile("")).await;
    assert!(bare.message.contains("`it` names no role"), "{bare}");
    std::fs::remove_file(&token).unwrap();
    let gone = refused(&profile(r#","ram_role_arn":"acs:ram::1:role/deploy""#)).await;
    assert!(gone.message.contains("which cannot be read"), "{gone}");
}

#[tokio::test]
async fn a_login_to_cloud_sso_is_exchanged_for_keys_as_long_as_it_is_good() {
    let now = clock::now().0 / 1000;
    let profile = |url: &str, until: u64| {
        format!(
            r#"{{"current":"it","profiles":[{{"name":"it","mode":"CloudSSO","cloud_sso_sign_in_url":"{url}/login","cloud_sso_account_id":"12",
            "cloud_sso_access_config":"ac-1","access_token":"hush","cloud_sso_access_token_expire":{until}}}]}}"#
        )
    };
    let script = |_: usize, _: &Seen| {
        Act::ok(
            r#"{"CloudCredential":{"AccessKeyId":"STS.sso","AccessKeySecret":"s","SecurityToken":"t","Expiration":"2099-01-02T05:00:00Z"},"RequestId":"r"}"#,
        )
    };
    // The address is known only once the server runs, so the profile is written then.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let file = path.display().to_string();
    let desk = desk(&[("ALIBABA_CLOUD_CONFIG_FILE", &file)], &[], script).await;
    std::fs::write(&path, profile(&desk.server.url, now + 30)).unwrap();
    let ended = desk.credentials.keys("Do").await.unwrap_err();
    assert!(ended.message.contains("aliyun configure --mode CloudSSO --profile it"), "{ended}");
    std::fs::write(&path, profile("http://signin.example.com", now + 3600)).unwrap();
    let open = desk.credentials.keys("Do").await.unwrap_err();
    assert!(open.message.contains("none of https") && !open.message.contains("hush"), "{open}");
    assert_eq!(desk.server.seen().len(), 0, "nobody was given the token");
    std::fs::write(&path, profile(&desk.server.url, now + 3600)).unwrap();
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.sso");
    assert_eq!(desk.credentials.session().await, Session::Renewed);
    let [asked] = &desk.server.seen()[..] else { panic!("{:?}", desk.server.seen()) };
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/cloud-credentials"));
    assert_eq!(asked.headers["authorization"], "Bearer hush");
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, serde_json::json!({ "AccountId": "12", "AccessConfigurationId": "ac-1" }));
}
