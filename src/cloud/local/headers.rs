//! Headers that belong to one connection, and those that tell a target who asked.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Uri};

/// Headers of one connection (RFC 9110, 7.6.1), and those that this end answers itself.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // hyper answers `100-continue` to the client as soon as the body is asked for.
    header::EXPECT,
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The protocol that the other end asks to change to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| asked).cloned()
}

fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::CONNECTION).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// Takes off what belongs to one connection; an agreed upgrade is put back.
pub(super) fn strip(headers: &mut HeaderMap, upgrade: Option<HeaderValue>) {
    let named: Vec<_> = tokens(headers).filter_map(|t| HeaderName::try_from(t).ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
}

/// Makes a client's request one for a target: origin form, a host, and who asked.
pub(super) fn forward<B>(request: &mut Request<B>, peer: IpAddr, listen: SocketAddr) {
    if let Some(authority) = request.uri().authority() {
        // The absolute form overrides the header (RFC 9112, 3.2.2).
        if let Ok(host) = HeaderValue::try_from(authority.as_str()) {
            request.headers_mut().insert(header::HOST, host);
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
    }
    *request.version_mut() = hyper::Version::HTTP_11;
    let headers = request.headers_mut();
    if !headers.contains_key(header::HOST)
        && let Ok(host) = HeaderValue::try_from(listen.to_string())
    {
        headers.insert(header::HOST, host);
    }
    let earlier = headers.get_all(&FORWARDED_FOR).into_iter().filter_map(|v| v.to_str().ok());
    let chain: Vec<_> = earlier.map(str::to_owned).chain([peer.to_string()]).collect();
    if let Ok(chain) = HeaderValue::try_from(chain.join(", ")) {
        headers.insert(FORWARDED_FOR, chain);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_connection_are_taken_off_and_an_upgrade_is_put_back() {
        let request = Request::builder()
            .header("connection", "keep-alive, X-Private, Upgrade")
            .header("upgrade", "websocket")
            .header("x-private", "1")
            .header("te", "trailers")
            .header("accept", "*/*");
        let mut headers = request.body(()).unwrap().headers().clone();
        let asked = upgrade(&headers);
        assert_eq!(asked, Some(HeaderValue::from_static("websocket")));
        strip(&mut headers, asked);
        let names: std::collections::BTreeSet<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["accept", "connection", "upgrade"].into());
        strip(&mut headers, None);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn a_target_is_told_who_asked() {
        let request =
            Request::builder().uri("http://api.example/a?b=c").header("x-forwarded-for", "10.0.0.1");
        let mut request = request.body(()).unwrap();
        forward(&mut request, "127.0.0.9".parse().unwrap(), "127.0.0.1:80".parse().unwrap());
        assert_eq!(request.uri(), "/a?b=c");
        let value = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(value("host"), "api.example");
        assert_eq!(value("x-forwarded-host"), "api.example");
        assert_eq!(value("x-forwarded-for"), "10.0.0.1, 127.0.0.9");
        assert_eq!(value("x-forwarded-proto"), "http");
    }
}
