//! Whether a bucket keeps create-if-absent: asked before the first write, and remembered in the bucket.
//!
//! A marker cannot promise that the bucket will stay as it was. OSS tells with every reply whether a bucket has, or had,
//! versions, and the store refuses it from then on; a server that forgets a condition between two releases is found
//! only by a new marker, so a marker names the endpoint through which it was proved.

use opendal::{Error, ErrorKind, Operator};

use super::client::Client;

/// Where canaries and markers are; the dot keeps it from being a service.
const FOLDER: &str = "deployer.probe";

/// Why a bucket was not proved.
pub(super) enum Unproved {
    /// It answered, and it does not keep the promise.
    Unfit(&'static str),
    /// It could not be asked.
    Failed(Error),
}

const IGNORES: &str = "it let one object be created twice: a server that ignores conditional writes, or an OSS bucket \
                       whose versioning is on or suspended";
pub(super) const VERSIONED: &str =
    "its versioning is on or suspended, and there OSS overwrites what should be created only if absent";

/// Proves the bucket once: by the marker of an earlier proof, or by creating one object twice.
pub(super) async fn prove(client: &Client, endpoint: &str, nonce: &str) -> Result<(), Unproved> {
    let operator = &client.operator;
    let marker = format!("{FOLDER}/proved-{}", short_digest(endpoint));
    let earlier = operator.read(&marker).await;
    if client.seen.versioned() {
        return Err(Unproved::Unfit(VERSIONED));
    }
    match earlier {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound && !super::fault::no_bucket(&error) => {}
        Err(error) => return Err(Unproved::Failed(error)),
    }
    let canary = format!("{FOLDER}/canary-{nonce}");
    // The first may meet its own earlier try, of which the reply was lost.
    let _ = create(operator, &canary, "1").await?;
    if client.seen.versioned() {
        return Err(Unproved::Unfit(VERSIONED));
    }
    if create(operator, &canary, "2").await? {
        return Err(Unproved::Unfit(IGNORES));
    }
    create(operator, &marker, "1").await.map(drop)
}

/// Whether the object is new.
async fn create(operator: &Operator, path: &str, text: &'static str) -> Result<bool, Unproved> {
    match operator.write_with(path, text).if_not_exists(true).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::ConditionNotMatch => Ok(false),
        Err(error) if refuses_condition(&error) => {
            Err(Unproved::Unfit("it does not know conditional writes (`If-None-Match: *`)"))
        }
        Err(error) => Err(Unproved::Failed(error)),
    }
}

fn refuses_condition(error: &Error) -> bool {
    error.message().contains("NotImplemented")
}

/// Enough of a digest to tell endpoints apart.
fn short_digest(text: &str) -> String {
    let mut digest = crate::journal::entry::digest(text.as_bytes());
    digest.truncate(12);
    digest
}
