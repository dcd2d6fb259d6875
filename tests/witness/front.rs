//! What stands before moto: passes calls on, and answers or repairs the few in which moto is not as AWS.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::timeline::{Timeline, Times};

const AUTO_SCALING: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";
/// Calls after which instances may have ended.
const ENDERS: [&str; 4] = [
    "DeleteAutoScalingGroup",
    "UpdateAutoScalingGroup",
    "SetDesiredCapacity",
    "TerminateInstanceInAutoScalingGroup",
];

/// Calls after which instances may have come, or have joined or left target groups.
const MOVERS: [&str; 5] = [
    "CreateAutoScalingGroup",
    "UpdateAutoScalingGroup",
    "SetDesiredCapacity",
    "AttachLoadBalancerTargetGroups",
    "DetachLoadBalancerTargetGroups",
];

/// The front, for as long as it lives.
pub struct Front {
    pub address: SocketAddr,
    calls: Calls,
    timeline: Arc<Timeline>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Every operation that was answered, in order, with the time.
type Calls = Arc<Mutex<Vec<(String, Instant)>>>;

/// One call, or one answer, as it goes over the wire.
pub struct Message {
    pub status: u16,
    pub body: String,
}

impl Front {
    pub fn start(moto: SocketAddr, times: Times) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, timeline) = (Calls::default(), Arc::new(Timeline::of(times)));
        let (stop, stopped) = oneshot::channel();
        let scene = Scene { moto, calls: Arc::clone(&calls), timeline: Arc::clone(&timeline) };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, scene, stopped));
        });
        Self { address, calls, timeline, stop: Some(stop), thread: Some(thread) }
    }

    /// Every operation that was asked for, in order.
    pub fn actions(&self) -> Vec<String> {
        self.calls().into_iter().map(|(action, _)| action).collect()
    }

    /// The same, with the time of each answer.
    pub fn calls(&self) -> Vec<(String, Instant)> {
        self.calls.lock().unwrap().clone()
    }

    /// Forgets what was asked, and when things happened.
    pub fn begin(&self) {
        self.calls.lock().unwrap().clear();
        self.timeline.begin();
    }

    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What every connection works with.
#[derive(Clone)]
struct Scene {
    moto: SocketAddr,
    calls: Calls,
    timeline: Arc<Timeline>,
}

async fn serve(listener: TcpListener, scene: Scene, mut stopped: oneshot::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let scene = scene.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(scene.clone(), request));
            let http = hyper::server::conn::http1::Builder::new();
            drop(http.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(scene: Scene, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let form = String::from_utf8_lossy(&body).into_owned();
    let action = form.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default().to_owned();
    let signed = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let signed = signed.unwrap_or_default().to_owned();
    tokio::time::sleep(scene.timeline.times.call).await;
    let calls = Arc::clone(&scene.calls);
    let asked = action.clone();
    let answered = tokio::task::spawn_blocking(move || pass(&scene, &signed, &action, &form));
    let message = answered.await.map_err(io::Error::other)??;
    calls.lock().unwrap().push((asked, Instant::now()));
    let response = Response::builder().status(message.status).header("content-type", "text/xml");
    response.body(Full::from(message.body)).map_err(io::Error::other)
}

/// Hands a call on to moto, which answers one at a time.
fn pass(scene: &Scene, signed: &str, action: &str, form: &str) -> io::Result<Message> {
    let moto = scene.moto;
    if let Some(empty) = not_in_moto(action) {
        return Ok(Message { status: 200, body: empty });
    }
    if action == "DeleteAutoScalingGroup" && form.contains("ForceDelete=true") {
        take_out_of_protection(moto, signed, form)?;
    }
    let moves = MOVERS.contains(&action) && scene.timeline.times.launch > Duration::ZERO;
    let before = if moves { group(moto, signed, form)? } else { String::new() };
    let answered = send(moto, signed, form)?;
    if ENDERS.contains(&action) {
        scene.timeline.ended(ended(moto, signed)?);
    }
    if moves && answered.status < 300 {
        scene.timeline.acted(form, [&before, &group(moto, signed, form)?]);
    }
    Ok(Message { body: scene.timeline.told(action, form, &answered.body), ..answered })
}

/// The Auto Scaling group that a call is about.
fn group(moto: SocketAddr, signed: &str, form: &str) -> io::Result<String> {
    let name =
        form.split('&').find_map(|pair| pair.strip_prefix("AutoScalingGroupName=")).unwrap_or_default();
    let of = "Action=DescribeAutoScalingGroups&Version=2011-01-01";
    Ok(send(moto, signed, &format!("{of}&AutoScalingGroupNames.member.1={name}"))?.body)
}

/// Reads that moto does not have: it answers 500 with a page of HTML. Nothing here ever has any of these, so an empty
/// list is the truth.
fn not_in_moto(action: &str) -> Option<String> {
    let list = match action {
        "DescribeTrafficSources" => "TrafficSources",
        "DescribeInstanceRefreshes" => "InstanceRefreshes",
        "DescribeNotificationConfigurations" => "NotificationConfigurations",
        _ => return None,
    };
    Some(format!(
        "<{action}Response xmlns=\"{AUTO_SCALING}\"><{action}Result><{list}/></{action}Result><ResponseMetadata>\
         <RequestId>0</RequestId></ResponseMetadata></{action}Response>"
    ))
}

/// Instances that have ended, as EC2 says. moto leaves them in their target groups, healthy for ever; on AWS they leave.
fn ended(moto: SocketAddr, signed: &str) -> io::Result<Vec<String>> {
    let state = "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=instance-state-name\
                 &Filter.1.Value.1=terminated";
    let seen = send(moto, &scoped(signed, "ec2"), state)?.body;
    Ok(all(&seen, "instanceId").map(str::to_owned).collect())
}

/// A forced deletion ends every instance on AWS; moto lets those run on that are protected from scale-in.
fn take_out_of_protection(moto: SocketAddr, signed: &str, form: &str) -> io::Result<()> {
    let of = "Version=2011-01-01";
    let name =
        form.split('&').find_map(|pair| pair.strip_prefix("AutoScalingGroupName=")).unwrap_or_default();
    let seen = group(moto, signed, form)?;
    for id in all(&seen, "InstanceId") {
        let call = format!(
            "Action=SetInstanceProtection&{of}&AutoScalingGroupName={name}&InstanceIds.member.1={id}\
             &ProtectedFromScaleIn=false"
        );
        send(moto, signed, &call)?;
    }
    Ok(())
}

/// Credentials that nobody checks; moto reads from them which service and region are meant.
pub fn credentials(region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=witness/20260101/{region}/{service}/aws4_request, SignedHeaders=host, \
         Signature=0"
    )
}

/// The same region, and another service.
fn scoped(signed: &str, service: &str) -> String {
    let region = signed.split('/').nth(2).unwrap_or_default();
    credentials(region, service)
}

/// One call, on a connection of its own: moto closes each.
pub fn send(to: SocketAddr, signed: &str, form: &str) -> io::Result<Message> {
    let mut stream = TcpStream::connect(to)?;
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {to}\r\nAuthorization: {signed}\r\nContent-Type: \
         application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
        form.len()
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("an answer without a body"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("an answer without a status"))?;
    Ok(Message { status, body: body.to_owned() })
}

/// The text of every element of this name.
pub fn all<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (text, after) = after.split_once(&close)?;
        rest = after;
        Some(text)
    })
}

/// As a value of a form.
pub fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    out
}

/// The value of a form's field.
pub fn decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => {
                out.push(b' ');
                rest = tail;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(digit)])
}
