//! A revision as `CodeDeploy` names it, and back.

use aws_sdk_codedeploy::types::{
    BundleType, GitHubLocation, RevisionLocation, RevisionLocationType, S3Location,
};

use crate::model::Revision;
use crate::spec::Bundle;

/// What stands for the revision in a key.
const PLACE: &str = "{revision}";

/// Where a revision lies.
pub(super) fn location(bundle: &Bundle, revision: &Revision) -> RevisionLocation {
    let name = bundle.name(revision);
    match bundle {
        Bundle::S3 { bucket, .. } => {
            let object = S3Location::builder().bucket(bucket).bundle_type(packed(&name)).key(name).build();
            RevisionLocation::builder().revision_type(RevisionLocationType::S3).s3_location(object).build()
        }
        Bundle::GitHub { repository } => {
            let commit = GitHubLocation::builder().repository(repository).commit_id(name).build();
            RevisionLocation::builder()
                .revision_type(RevisionLocationType::GitHub)
                .git_hub_location(commit)
                .build()
        }
    }
}

/// The revision of a location, where it is one that the file describes.
pub(super) fn revision(bundle: &Bundle, location: &RevisionLocation) -> Option<Revision> {
    let name = match bundle {
        Bundle::S3 { bucket, key } => {
            let object = location.s3_location().filter(|object| object.bucket() == Some(bucket))?;
            let (before, after) = key.split_once(PLACE)?;
            object.key()?.strip_prefix(before)?.strip_suffix(after)?
        }
        Bundle::GitHub { repository } => {
            let commit = location.git_hub_location().filter(|commit| commit.repository() == Some(repository));
            commit?.commit_id()?
        }
    };
    Revision::new(name).ok()
}

/// By the end of its name; `CodeDeploy` takes no bundle without being told how it is packed.
fn packed(name: &str) -> BundleType {
    let ends = |end: &str| name.to_ascii_lowercase().ends_with(end);
    if ends(".tar.gz") || ends(".tgz") {
        BundleType::TarGZip
    } else if ends(".tar") {
        BundleType::Tar
    } else {
        BundleType::Zip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_goes_to_its_place_and_comes_back() {
        let new = Revision::new("v7").unwrap();
        let s3 = |key: &str| Bundle::S3 { bucket: "releases".into(), key: key.into() };
        for (key, kind) in [
            ("api/{revision}.zip", BundleType::Zip),
            ("api/{revision}.tar", BundleType::Tar),
            ("{revision}/api.TGZ", BundleType::TarGZip),
            ("api-{revision}.tar.gz", BundleType::TarGZip),
        ] {
            let there = location(&s3(key), &new);
            assert_eq!(there.s3_location().unwrap().bundle_type(), Some(&kind), "{key}");
            assert_eq!(revision(&s3(key), &there), Some(new.clone()), "{key}");
            assert_eq!(revision(&s3("other/{revision}.zip"), &there), None, "{key}");
        }
        let hub = Bundle::GitHub { repository: "acme/api".into() };
        assert_eq!(revision(&hub, &location(&hub, &new)), Some(new.clone()));
        assert_eq!(revision(&s3("{revision}"), &location(&hub, &new)), None);
    }
}
