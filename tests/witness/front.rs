//! What stands before moto: passes calls on, and answers or repairs the few in which moto is not as AWS.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

const AUTO_SCALING: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";
/// Calls after which instances may have ended.
const ENDERS: [&str; 4] = [
    "DeleteAutoScalingGroup",
    "UpdateAutoScalingGroup",
    "SetDesiredCapacity",
    "TerminateInstanceInAutoScalingGroup",
];

/// The front, for as long as it lives.
pub struct Front {
    pub address: SocketAddr,
    actions: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// One call, or one answer, as it goes over the wire.
pub struct Message {
    pub status: u16,
    pub body: String,
}

impl Front {
    pub fn start(moto: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let actions = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::clone(&actions);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, moto, seen, stopped));
        });
        Self { address, actions, stop: Some(stop), thread: Some(thread) }
    }

    /// Every operation that was asked for, in order.
    pub fn actions(&self) -> Vec<String> {
        self.actions.lock().unwrap().clone()
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

async fn serve(
    listener: TcpListener,
    moto: SocketAddr,
    actions: Arc<Mutex<Vec<String>>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let actions = Arc::clone(&actions);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(moto, Arc::clone(&actions), request));
            let http = hyper::server::conn::http1::Builder::new();
            drop(http.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(
    moto: SocketAddr,
    actions: Arc<Mutex<Vec<String>>>,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let form = String::from_utf8_lossy(&body).into_owned();
    let action = form.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default().to_owned();
    actions.lock().unwrap().push(action.clone());
    let signed = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let signed = signed.unwrap_or_default().to_owned();
    // moto answers one call at a time, and so may we.
    let answered = tokio::task::spawn_blocking(move || {
        if let Some(empty) = not_in_moto(&action) {
            return Ok(Message { status: 200, body: empty });
        }
        if action == "DeleteAutoScalingGroup" && form.contains("ForceDelete=true") {
            take_out_of_protection(moto, &signed, &form)?;
        }
        let answered = send(moto, &signed, &form)?;
        if ENDERS.contains(&action.as_str()) {
            deregister_the_terminated(moto, &signed)?;
        }
        Ok::<_, io::Error>(answered)
    });
    let message = answered.await.map_err(io::Error::other)??;
    let response = Response::builder().status(message.status).header("content-type", "text/xml");
    response.body(Full::from(message.body)).map_err(io::Error::other)
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

/// moto leaves instances that Auto Scaling terminates in their target groups, healthy for ever; on AWS they leave.
fn deregister_the_terminated(moto: SocketAddr, signed: &str) -> io::Result<()> {
    let of = |service: &str| scoped(signed, service);
    let state = "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=instance-state-name\
                 &Filter.1.Value.1=terminated";
    let ended: BTreeSet<String> =
        all(&send(moto, &of("ec2"), state)?.body, "instanceId").map(str::to_owned).collect();
    let elb = of("elasticloadbalancing");
    let groups = send(moto, &elb, "Action=DescribeTargetGroups&Version=2015-12-01")?.body;
    for arn in all(&groups, "TargetGroupArn") {
        let arn = encoded(arn);
        let health = format!("Action=DescribeTargetHealth&Version=2015-12-01&TargetGroupArn={arn}");
        let health = send(moto, &elb, &health)?.body;
        for id in all(&health, "Id").filter(|id| ended.contains(*id)) {
            let call = format!(
                "Action=DeregisterTargets&Version=2015-12-01&TargetGroupArn={arn}&Targets.member.1.Id={id}"
            );
            send(moto, &elb, &call)?;
        }
    }
    Ok(())
}

/// A forced deletion ends every instance on AWS; moto lets those run on that are protected from scale-in.
fn take_out_of_protection(moto: SocketAddr, signed: &str, form: &str) -> io::Result<()> {
    let group =
        form.split('&').find_map(|pair| pair.strip_prefix("AutoScalingGroupName=")).unwrap_or_default();
    let of = "Version=2011-01-01";
    let seen = format!("Action=DescribeAutoScalingGroups&{of}&AutoScalingGroupNames.member.1={group}");
    let seen = send(moto, signed, &seen)?.body;
    for id in all(&seen, "InstanceId") {
        let call = format!(
            "Action=SetInstanceProtection&{of}&AutoScalingGroupName={group}&InstanceIds.member.1={id}\
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

fn hex(digit: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(digit)])
}
