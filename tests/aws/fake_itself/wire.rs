//! Signatures, unknown calls, EC2 by hand, and everything that goes wrong on the wire.

use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;

use super::{Scene, code, scene};
use crate::fake::{Bucket, Buckets, Call, Fake, Fault, On, Outcome, Settings};

/// One call as a program without an SDK makes it: its status and its body.
async fn signed(fake: &Fake, service: &str, secret: Option<&str>, form: &[(&str, &str)]) -> (u16, String) {
    let env: std::collections::BTreeMap<String, String> = fake.env().into_iter().collect();
    let secret = secret.unwrap_or(&env["AWS_SECRET_ACCESS_KEY"]);
    let identity = Credentials::new(&env["AWS_ACCESS_KEY_ID"], secret, None, None, "test").into();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(format!("{}/", fake.url())).form(form).build().unwrap();
    let host = fake.url().replace("http://", "");
    request.headers_mut().insert("host", host.parse().unwrap());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let body = request.body().unwrap().as_bytes().unwrap().to_vec();
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let url = request.url().to_string();
    let signable = SignableRequest::new("POST", &url, headers, SignableBody::Bytes(&body)).unwrap();
    let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
    for (name, value) in instructions.headers() {
        request
            .headers_mut()
            .insert(name.to_owned().parse::<reqwest::header::HeaderName>().unwrap(), value.parse().unwrap());
    }
    let answer = client.execute(request).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn ec2(fake: &Fake, form: &[(&str, &str)]) -> (u16, String) {
    let version = [("Version", "2016-11-15")];
    signed(fake, "ec2", None, &[form, &version].concat()).await
}

#[tokio::test]
async fn only_calls_that_are_signed_are_heard() {
    let scene = scene(Settings::default()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let unsigned =
        client.post(scene.fake.url()).form(&[("Action", "DescribeInstances")]).send().await.unwrap();
    assert_eq!(unsigned.status().as_u16(), 403);
    assert!(unsigned.text().await.unwrap().contains("MissingAuthenticationToken"));
    let form = [("Action", "DescribeInstances"), ("Version", "2016-11-15")];
    let (status, body) = signed(&scene.fake, "ec2", Some("another secret"), &form).await;
    assert!(status == 403 && body.contains("<Code>SignatureDoesNotMatch</Code>"), "{body}");
    assert_eq!(signed(&scene.fake, "ec2", None, &form).await.0, 200);
    let config = super::config(&scene.fake).await;
    let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some("111122223333"));
}

#[tokio::test]
async fn what_is_not_known_is_refused_and_remembered() {
    let scene = scene(Settings::default()).await;
    let (status, body) = ec2(&scene.fake, &[("Action", "RunInstances")]).await;
    assert!(status == 400 && body.contains("<Code>InvalidAction</Code>"), "{body}");
    let (status, body) = ec2(&scene.fake, &[("Action", "DescribeInstances"), ("Instances.1", "i-1")]).await;
    assert!(status == 400 && body.contains("<Code>UnknownParameter</Code>"), "{body}");
    let start = scene.asg.start_instance_refresh().auto_scaling_group_name("blue").send().await.unwrap_err();
    assert_eq!(code(&start), "InvalidAction");
    let list = scene.deploy.list_applications().send().await.unwrap_err();
    assert_eq!(code(&list), "UnknownOperationException");
    let unknown = scene.fake.unknown();
    let expected = [
        "ec2:RunInstances",
        "ec2:DescribeInstances Instances[]",
        "autoscaling:StartInstanceRefresh",
        "codedeploy:ListApplications",
    ];
    assert_eq!(unknown, expected);
}

#[tokio::test]
async fn ec2_answers_in_its_own_dialect() {
    let scene = scene(Settings::default()).await;
    let fake = &scene.fake;
    let filter = [("Filter.1.Name", "tag:service"), ("Filter.1.Value.1", "a*")];
    let (_, body) = ec2(fake, &[&[("Action", "DescribeInstances")], &filter[..]].concat()).await;
    assert_eq!(body.matches("<instanceId>").count(), 2, "{body}");
    let (_, body) = ec2(fake, &[("Action", "DescribeInstances"), ("InstanceId.1", "i-0none")]).await;
    assert!(body.contains("<Errors><Error><Code>InvalidInstanceID.NotFound</Code>"), "{body}");
    fake.world(|world| world.settings.page = Some(1));
    let (_, body) = ec2(fake, &[("Action", "DescribeInstances")]).await;
    assert!(body.contains("<nextToken>DescribeInstances-1</nextToken>"), "{body}");
    fake.world(|world| world.settings.page = None);
    let id = fake.world(|world| world.templates.keys().next().unwrap().clone());
    let create = [
        ("Action", "CreateLaunchTemplateVersion"),
        ("LaunchTemplateId", id.as_str()),
        ("SourceVersion", "1"),
        ("ClientToken", "once"),
        ("LaunchTemplateData.ImageId", "ami-3"),
    ];
    for _ in 0..2 {
        let (_, body) = ec2(fake, &create).await;
        assert!(body.contains("<versionNumber>3</versionNumber>"), "{body}");
        assert!(body.contains("<imageId>ami-3</imageId><instanceType>t3.micro</instanceType>"), "{body}");
    }
    let versions = [("Action", "DescribeLaunchTemplateVersions"), ("LaunchTemplateName", "api")];
    let (_, body) = ec2(fake, &[&versions[..], &[("LaunchTemplateVersion.1", "$Latest")]].concat()).await;
    assert!(body.contains("<versionNumber>3</versionNumber>"), "{body}");
    let (_, body) = ec2(fake, &[&versions[..], &[("LaunchTemplateVersion.1", "9")]].concat()).await;
    assert!(body.contains("InvalidLaunchTemplateId.VersionNotFound"), "{body}");
    for (action, expected) in [
        ("DescribeLaunchTemplates", "<latestVersionNumber>3</latestVersionNumber>"),
        ("DescribeSubnets", "<state>available</state>"),
        ("DescribeSecurityGroups", "<groupName>default</groupName>"),
        ("DescribeInstanceStatus", "<status>ok</status>"),
    ] {
        let (status, body) = ec2(fake, &[("Action", action)]).await;
        assert!(status == 200 && body.contains(expected), "{body}");
    }
    assert!(fake.unknown().is_empty());
}

async fn tag(scene: &Scene, value: &str) -> Result<(), String> {
    let tag = aws_sdk_elasticloadbalancingv2::types::Tag::builder().key("owner").value(value).build();
    let sent = scene.elb.add_tags().resource_arns(&scene.green).tags(tag).send().await;
    sent.map(drop).map_err(|error| code(&error))
}

fn owner(scene: &Scene) -> Option<String> {
    scene.fake.world(|world| world.groups[&scene.green].tags.get("owner").cloned())
}

#[tokio::test]
async fn faults_that_come_before_a_call_leave_the_world_as_it_was() {
    let scene = scene(Settings::default()).await;
    for (fault, expected) in [
        (Fault::Throttle, "Throttling"),
        (Fault::Status(500), "InternalFailure"),
        (Fault::Status(503), "ServiceUnavailable"),
        (Fault::Denied, "AccessDenied"),
        (Fault::Reset, "none"),
    ] {
        scene.fake.fail(On::call("AddTags"), fault);
        assert_eq!(tag(&scene, "me").await, Err(expected.to_owned()));
        scene.fake.heal();
    }
    assert_eq!((owner(&scene), scene.fake.fired(), scene.fake.count("AddTags")), (None, 5, 0));
    let last: Call = scene.fake.calls().pop().unwrap();
    assert_eq!((last.action.as_str(), last.outcome), ("AddTags", Outcome::Reset));
    scene.fake.fail(On::call("GetDeployment"), Fault::Throttle);
    let throttled = scene.deploy.get_deployment().deployment_id("d-1").send().await.unwrap_err();
    assert_eq!(code(&throttled), "ThrottlingException");
    scene.fake.fail(On::call("DescribeSubnets"), Fault::Throttle);
    let (status, body) = ec2(&scene.fake, &[("Action", "DescribeSubnets")]).await;
    assert!(status == 503 && body.contains("RequestLimitExceeded"), "{body}");
}

#[tokio::test]
async fn faults_that_come_after_a_call_leave_it_applied() {
    let scene = scene(Settings::default()).await;
    for (fault, value) in [(Fault::LostReply, "lost"), (Fault::Truncated, "cut")] {
        scene.fake.fail(On::call("AddTags").first(1), fault);
        assert_eq!(tag(&scene, value).await, Err("none".to_owned()));
        assert_eq!(owner(&scene).as_deref(), Some(value));
        scene.fake.heal();
    }
    scene.fake.fail(On::any(), Fault::Slow(80));
    let began = Instant::now();
    tag(&scene, "slow").await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(80));
    assert_eq!(scene.fake.count("AddTags"), 3);
}

#[tokio::test]
async fn a_fault_meets_the_calls_that_it_is_for() {
    let scene = scene(Settings::default()).await;
    scene.fake.fail(On::call("AddTags").nth(2).containing("public-green"), Fault::Throttle);
    scene.fake.fail(On::call("AddTags").containing("never"), Fault::Denied);
    tag(&scene, "first").await.unwrap();
    assert_eq!(tag(&scene, "second").await, Err("Throttling".to_owned()));
    tag(&scene, "third").await.unwrap();
    assert_eq!(tag(&scene, "never").await, Err("AccessDenied".to_owned()));
}

#[tokio::test]
async fn empty_buckets_refuse_calls_by_family() {
    let reads = Bucket { burst: 2.0, per_second: 0.5 };
    let buckets = Buckets { elb_reads: reads, ..Buckets::default() };
    let scene = scene(Settings { buckets: Some(buckets), ..Settings::default() }).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        let read = scene.elb.describe_target_groups().send().await;
        codes.push(read.map_or_else(|error| code(&error), |_| "ok".to_owned()));
    }
    assert_eq!(codes, ["ok", "ok", "Throttling"]);
    tag(&scene, "another bucket").await.unwrap();
}
