//! Questions about a bucket itself, which the client of its objects does not know: one signed request each.

use std::time::Duration;

use hyper::{Request, StatusCode};
use opendal::{Buffer, HttpTransport as _};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqsign_core::Signer;
use serde::Deserialize;

/// How long one answer may take.
const ASK_MAX: Duration = Duration::from_secs(10);
/// How often a question is asked that the cloud could not answer just then.
const TRIES: u32 = 3;

/// What a cloud said to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said<T> {
    /// This is so.
    Known(T),
    /// Nobody could tell: denied, unheard-of there, or no answer. It is never taken for a yes.
    Unknown(String),
}

/// Who signs, for which cloud.
pub(super) enum Hand {
    S3(Signer<reqsign_aws_v4::Credential>),
    Oss(Signer<reqsign_aliyun_oss::Credential>),
}

/// Asks about one bucket.
pub(super) struct Asker {
    /// The bucket's own address, with the slash at its end.
    pub address: String,
    pub client: ReqwestTransport,
    pub hand: Hand,
}

/// An answer that says no.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    code: String,
}

impl Asker {
    /// The answer to `?question`, read by `read`; `absent` holds the codes by which the cloud says that there is no such
    /// setting, which is an answer as well.
    pub async fn ask<T>(
        &self,
        question: &str,
        absent: &[&str],
        read: impl Fn(Option<&str>) -> Result<T, String>,
    ) -> Said<T> {
        let mut why = String::new();
        for _ in 0..TRIES {
            let answer = match tokio::time::timeout(ASK_MAX, self.send(question)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(words)) => return Said::Unknown(words),
                Err(_) => return Said::Unknown(format!("no answer within {} s", ASK_MAX.as_secs())),
            };
            let (status, text) = answer;
            if status.is_success() {
                return read(Some(&text)).map_or_else(
                    |words| Said::Unknown(format!("an answer that says nothing: {words}")),
                    Said::Known,
                );
            }
            let code = quick_xml::de::from_str(&text)
                .map_or_else(|_| status.to_string(), |it: Refusal| plain(&it.code));
            if status == StatusCode::NOT_FOUND && absent.contains(&code.as_str()) {
                return read(None).map_or_else(Said::Unknown, Said::Known);
            }
            why = code;
            if !status.is_server_error() || status == StatusCode::NOT_IMPLEMENTED {
                break;
            }
        }
        Said::Unknown(why)
    }

    async fn send(&self, question: &str) -> Result<(StatusCode, String), String> {
        let request = Request::get(format!("{}?{question}", self.address)).body(Buffer::new());
        let (mut head, body) = request.map_err(|error| plain(&error.to_string()))?.into_parts();
        let signed = match &self.hand {
            Hand::S3(signer) => signer.sign(&mut head, None).await,
            Hand::Oss(signer) => signer.sign(&mut head, None).await,
        };
        signed.map_err(|error| plain(&format!("no credentials that can sign: {error}")))?;
        let reply = self.client.fetch(Request::from_parts(head, body)).await;
        let (head, mut body) = reply.map_err(|error| plain(error.message()))?.into_parts();
        let bytes = body.to_buffer().await.map_err(|error| plain(error.message()))?.to_vec();
        Ok((head.status, String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// Words of others on one line, and not too many.
fn plain(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
