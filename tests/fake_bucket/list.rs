//! `ListObjectsV2`, which both clouds answer alike.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Object;
use super::sign::unescape;

/// One page of a listing.
pub fn page(objects: &BTreeMap<String, Object>, query: &str, page_max: usize) -> String {
    let asked: BTreeMap<String, String> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (unescape(name), unescape(value)))
        .collect();
    let text = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let (prefix, delimiter) = (text("prefix"), text("delimiter"));
    let after = [text("start-after"), text("continuation-token")].into_iter().max().unwrap_or_default();
    let limit = text("max-keys").parse().unwrap_or(1_000).min(page_max);
    let (mut items, mut more) = (Vec::new(), false);
    // A folder that was named is skipped whole, or a large bucket would be read to its end for each page.
    let mut from = prefix.max(after).to_owned();
    while let Some((key, _)) = objects.range(from.clone()..).next().filter(|(key, _)| key.starts_with(prefix))
    {
        let rest = &key[prefix.len()..];
        let folder = (!delimiter.is_empty()).then(|| rest.find(delimiter)).flatten();
        let item = match folder {
            Some(end) => (true, format!("{prefix}{}", &rest[..end + delimiter.len()])),
            None => (false, key.clone()),
        };
        from = if item.0 { format!("{}\u{10ffff}", item.1) } else { format!("{key}\0") };
        if item.1.as_str() <= after {
            continue;
        }
        if items.len() == limit {
            more = true;
            break;
        }
        items.push(item);
    }
    let mut page = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Prefix>{prefix}</Prefix>\
         <KeyCount>{}</KeyCount><MaxKeys>{limit}</MaxKeys><IsTruncated>{more}</IsTruncated>",
        items.len()
    );
    for (folder, name) in &items {
        let _ = if *folder {
            write!(page, "<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>")
        } else {
            write!(
                page,
                "<Contents><Key>{name}</Key><LastModified>2026-11-22T00:00:00.000Z</LastModified>\
                 <ETag>\"e\"</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        };
    }
    if let (true, Some((_, last))) = (more, items.last()) {
        let _ = write!(page, "<NextContinuationToken>{last}</NextContinuationToken>");
    }
    page + "</ListBucketResult>"
}
