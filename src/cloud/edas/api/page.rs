//! Lists, to the last page. A page without its list, one with fewer entries than were promised, and one that leads back to
//! itself are faults: what should have stood there would be taken for absent.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cloud::edas::client::{Call, Client};
use crate::cloud::{Fault, FaultKind};

/// A listing with more pages than this does not end.
const PAGES_MAX: u64 = 2_000;
/// The entries of a page that is asked for by its number.
const PAGE: u64 = 50;

/// Where a product takes the parameters of its listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum In {
    Query,
    Form,
}

/// Every entry of `list`, a place in the answer such as `/Servers`, by `NextToken`.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub(super) async fn by_token<T: DeserializeOwned>(
    client: &Client,
    call: Call,
    list: &str,
    place: In,
) -> Result<Vec<T>, Fault> {
    let (mut all, mut promised, mut tokens) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut next: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let page = match (&next, place) {
            (None, _) => call.clone(),
            (Some(token), In::Query) => call.clone().with("NextToken", token),
            (Some(token), In::Form) => call.clone().form("NextToken", token),
        };
        let answer: Value = client.send(page).await?;
        let total = count(&answer, "TotalCount");
        let entries = entries::<T>(call.action(), &answer, list, total)?;
        promised.extend(total.map(|total| (total, entries.len())));
        all.extend(entries);
        next = answer["NextToken"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
        match &next {
            None => return whole(call.action(), all, &promised),
            Some(token) if !tokens.insert(token.clone()) => {
                return Err(short(call.action(), "its pages lead back to themselves"));
            }
            Some(_) => {}
        }
    }
    Err(short(call.action(), &format!("more than {PAGES_MAX} pages")))
}

/// Every entry of `list` by `PageNumber`.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub(super) async fn by_number<T: DeserializeOwned>(
    client: &Client,
    call: Call,
    list: &str,
) -> Result<Vec<T>, Fault> {
    let mut all = Vec::new();
    for number in 1..=PAGES_MAX {
        let page = call.clone().with("PageNumber", number).with("PageSize", PAGE);
        let answer: Value = client.send(page).await?;
        let total = count(&answer, "TotalCount")
            .ok_or_else(|| short(call.action(), "an answer that does not say how many there are"))?;
        let entries = entries::<T>(call.action(), &answer, list, Some(total))?;
        let none = entries.is_empty();
        all.extend(entries);
        if all.len() as u64 >= total {
            return Ok(all);
        }
        if none {
            return Err(fewer(call.action(), all.len(), total));
        }
    }
    Err(short(call.action(), &format!("more than {PAGES_MAX} pages")))
}

/// The list of an answer that has no pages.
///
/// # Errors
/// The call's fault; an answer without the list.
pub(super) async fn at_once<T: DeserializeOwned>(
    client: &Client,
    call: Call,
    list: &str,
) -> Result<Vec<T>, Fault> {
    let action = call.action();
    let answer: Value = client.send(call).await?;
    if answer["NextToken"].as_str().is_some_and(|token| !token.is_empty()) {
        return Err(short(action, "more than one page, and no way to ask for the next"));
    }
    entries(action, &answer, list, None)
}

/// The entries of one answer. CLB leaves a list out that has none, and says that there are none (`DescribeLoadBalancerListeners`
/// in the official SDK); whoever says nothing has not answered.
pub(super) fn entries<T: DeserializeOwned>(
    action: &str,
    answer: &Value,
    list: &str,
    total: Option<u64>,
) -> Result<Vec<T>, Fault> {
    let given = match answer.pointer(list).and_then(Value::as_array) {
        Some(given) => given.as_slice(),
        None if total == Some(0) => &[],
        None => return Err(short(action, "an answer without the list that was asked for")),
    };
    let read = |entry: &Value| serde_json::from_value(entry.clone());
    let entries: Result<Vec<T>, _> = given.iter().map(read).collect();
    entries.map_err(|bad| short(action, &format!("an entry that cannot be read: {bad}")))
}

/// Some lists count their entries in all, and some those of the page: either promise has to be kept.
fn whole<T>(action: &str, all: Vec<T>, promised: &[(u64, usize)]) -> Result<Vec<T>, Fault> {
    let by_page = promised.iter().all(|(total, entries)| *total == *entries as u64);
    let in_all = promised.iter().all(|(total, _)| all.len() as u64 >= *total);
    if by_page || in_all {
        return Ok(all);
    }
    let most = promised.iter().map(|(total, _)| *total).max().unwrap_or(0);
    Err(fewer(action, all.len(), most))
}

fn count(answer: &Value, key: &str) -> Option<u64> {
    answer[key].as_u64().or_else(|| answer[key].as_str()?.parse().ok())
}

fn fewer(action: &str, listed: usize, total: u64) -> Fault {
    short(action, &format!("{listed} entries where {total} were promised"))
}

fn short(action: &str, why: &str) -> Fault {
    Fault::new(FaultKind::Unexpected, action, why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_that_is_missing_in_an_answer_is_no_empty_list() {
        let read = |answer: Value, total| entries::<u8>("ListRules", &answer, "/Rules", total);
        assert_eq!(read(json!({ "Rules": [] }), None).unwrap(), Vec::<u8>::new());
        assert_eq!(read(json!({}), Some(0)).unwrap(), Vec::<u8>::new());
        for (answer, total) in [
            (json!({}), None),
            (json!({}), Some(1)),
            (json!({ "Rules": null }), None),
            (json!({ "Rules": {} }), None),
            (json!({ "Rules": ["x"] }), None),
        ] {
            assert_eq!(read(answer, total).unwrap_err().kind, FaultKind::Unexpected);
        }
    }

    #[test]
    fn what_was_promised_has_to_be_there_on_each_page_or_in_all() {
        let whole = |entries: usize, promised: &[(u64, usize)]| {
            whole("ListServerGroups", vec![0_u8; entries], promised).is_ok()
        };
        assert!(whole(3, &[(3, 2), (3, 1)]) && whole(3, &[(2, 2), (1, 1)]) && whole(3, &[]));
        assert!(!whole(2, &[(3, 2)]) && !whole(3, &[(4, 2), (4, 1)]) && !whole(0, &[(1, 0)]));
    }
}
