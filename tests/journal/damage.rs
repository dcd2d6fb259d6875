//! Whatever happens to the bytes, a reader names the place and folds nothing.

use deployer::journal::{Flaw, JournalFault, Key, MemoryStore};

use crate::facts::{all, body, damage, key, read, released, sealed, sha256, stored, with};

#[tokio::test]
async fn what_was_written_is_read_back_whole_and_in_order() {
    assert_eq!(read(stored(&all()).await).await.unwrap(), all());
}

#[tokio::test]
async fn an_entry_is_one_line_that_other_tools_can_read() {
    let objects = stored(&all()).await.objects();
    let (first, second) = (&objects[&key(1)], &objects[&key(2)]);
    assert_eq!(second.split(|byte| *byte == b'\n').collect::<Vec<_>>().len(), 2, "one line end, at the end");
    let line: serde_json::Value = serde_json::from_slice(second).unwrap();
    let fields: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["at", "event", "prev", "rollout", "seq", "sum", "v", "writer"]);
    assert_eq!(line["prev"], sha256(first));
    assert_eq!(line["sum"], sha256(body(second).as_bytes()));
}

#[tokio::test]
async fn an_object_cut_at_any_byte_is_named() {
    let store = stored(&all()).await;
    for (seq, (place, bytes)) in (1..).zip(store.objects()) {
        for len in 0..bytes.len() {
            let (found, flaw) = with(&store, seq, |object| object.truncate(len)).await;
            assert_eq!((found, flaw), (place.clone(), Flaw::Truncated), "cut to {len}");
        }
    }
}

/// One bit of seven, so that over the bytes every bit has its turn; all of them with `FUZZ_ALL=1`.
#[tokio::test]
async fn an_object_with_any_bit_flipped_is_named() {
    let step = if std::env::var_os("FUZZ_ALL").is_some() { 1 } else { 7 };
    let store = stored(&all()).await;
    for (seq, (place, bytes)) in (1..).zip(store.objects()) {
        for bit in (0..bytes.len() * 8).step_by(step) {
            let (found, flaw) = with(&store, seq, |object| object[bit / 8] ^= 1 << (bit % 8)).await;
            assert_eq!(found, place, "bit {bit}: {flaw:?}");
            assert!(matches!(flaw, Flaw::Edited | Flaw::Truncated), "bit {bit}: {flaw:?}");
        }
    }
}

#[tokio::test]
async fn an_edit_with_a_new_sum_is_witnessed_by_the_next_entry() {
    let store = stored(&all()).await;
    let forge = |object: &mut Vec<u8>| *object = sealed(&body(object).replace("a1", "zz"));
    assert_eq!(with(&store, 1, forge).await, (key(1), Flaw::Replaced { witness: key(2) }));
}

#[tokio::test]
async fn an_entry_of_another_place_is_refused() {
    let store = stored(&all()).await;
    let other = store.objects()[&key(3)].clone();
    let (place, flaw) = with(&store, 4, |object| *object = other).await;
    assert_eq!(place, key(4));
    assert!(matches!(&flaw, Flaw::Foreign { seq: 3, rollout } if rollout.number == 7), "{flaw:?}");
    let renumber =
        |object: &mut Vec<u8>| *object = sealed(&body(object).replace("\"number\":7", "\"number\":8"));
    let (place, flaw) = with(&store, 4, renumber).await;
    assert_eq!(place, key(4));
    assert!(matches!(&flaw, Flaw::Foreign { seq: 4, rollout } if rollout.number == 8), "{flaw:?}");
}

#[tokio::test]
async fn a_missing_entry_is_named() {
    for seq in 1..14 {
        let store = stored(&all()).await;
        let mut objects = store.objects();
        objects.remove(&key(seq));
        store.tamper(objects);
        let found = damage(store).await;
        assert_eq!((found.key, found.flaw), (key(seq), Flaw::Hole));
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_by_its_number_even_where_it_looks_different() {
    let store = stored(&all()).await;
    for newer in [r#"{"v":3"#.to_owned(), r#"{"v":3,"body":"?""#.to_owned()] {
        let (place, flaw) = with(&store, 14, |object| *object = sealed(&newer)).await;
        assert_eq!((place, flaw), (key(14), Flaw::Newer { format: 3 }));
    }
    let same_fields = |object: &mut Vec<u8>| *object = sealed(&body(object).replace("{\"v\":1", "{\"v\":9"));
    assert_eq!(with(&store, 14, same_fields).await, (key(14), Flaw::Newer { format: 9 }));
}

#[tokio::test]
async fn an_object_that_is_larger_than_any_entry_is_named() {
    let store = stored(&all()).await;
    let (place, flaw) =
        with(&store, 2, |object| object.resize(deployer::journal::OBJECT_MAX + 1, b' ')).await;
    assert_eq!(place, key(2));
    assert!(matches!(flaw, Flaw::TooLarge { .. }), "{flaw:?}");
}

#[tokio::test]
async fn an_unknown_event_is_shown_as_it_is_and_never_resumed() {
    let store = stored(&[released("first"), released("second")]).await;
    let mut objects = store.objects();
    let stranger =
        body(&objects[&key(2)]).replace(r#"{"released":{"why":"second"}}"#, r#"{"moved":{"to":"mars"}}"#);
    objects.insert(key(2), sealed(&stranger));
    store.tamper(objects);
    let journal = deployer::journal::Journal::new(store, "reader");
    let history = journal.read(&crate::facts::rollout()).await.unwrap();
    let deployer::journal::Fact::Unknown(shown) = &history.entries[1].fact else { panic!("{history:?}") };
    assert_eq!(
        (history.entries[1].kind(), &shown.stored),
        ("moved", &serde_json::json!({"moved": {"to": "mars"}}))
    );
    let refused = [journal.log(&history).unwrap_err(), history.into_recorded().unwrap_err()];
    for fault in refused {
        assert!(
            matches!(&fault, JournalFault::UnknownEvent { seq: 2, kind, .. } if kind == "moved"),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_known_event_with_more_in_it_than_this_version_knows_is_not_resumed_either() {
    let store = stored(&[released("first")]).await;
    let mut objects = store.objects();
    objects.insert(key(1), sealed(&body(&objects[&key(1)]).replace(r#""why":"first""#, r#""how":"first""#)));
    store.tamper(objects);
    let fault = read(store).await.unwrap_err();
    assert!(matches!(&fault, JournalFault::UnknownEvent { kind, .. } if kind == "released"), "{fault}");
}

/// Seeded: `FUZZ_SEED` repeats a run, `FUZZ_CASES` lengthens it.
#[tokio::test]
async fn arbitrary_bytes_are_refused_without_a_panic() {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (seed, cases) = (number("FUZZ_SEED", 1), number("FUZZ_CASES", 20_000));
    println!("FUZZ_SEED={seed} FUZZ_CASES={cases}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let sound: Vec<Vec<u8>> = stored(&all()).await.objects().into_values().collect();
    for _ in 0..cases {
        let (bytes, fits) = scramble(&mut chance, &sound);
        let store = MemoryStore::new();
        store.tamper([(key(1), bytes.clone())].into());
        let verdict = read(store).await;
        // Words under a sum that fits may happen to be an entry; nothing else may pass for one.
        let refused = verdict.is_err() || fits || bytes == sound[0];
        assert!(refused, "{verdict:?} from {:?}", String::from_utf8_lossy(&bytes));
    }
}

/// Noise, a sound entry with noise in it, or such a one under a sum that fits; and whether it does.
fn scramble(chance: &mut fastrand::Rng, sound: &[Vec<u8>]) -> (Vec<u8>, bool) {
    let kind = chance.u8(0..4);
    if kind == 0 {
        return ((0..chance.usize(0..300)).map(|_| chance.u8(..)).collect(), false);
    }
    let mut bytes = sound[chance.usize(0..sound.len())].clone();
    if kind > 1 {
        bytes = body(&bytes).into_bytes();
    }
    for _ in 0..chance.usize(1..6) {
        let at = chance.usize(0..bytes.len());
        match chance.u8(0..3) {
            0 => bytes[at] = b"{}[]\",:0-9tfn\\"[chance.usize(0..14)],
            1 => drop(bytes.splice(at..at, [chance.u8(..)])),
            _ => drop(bytes.drain(at..(at + chance.usize(1..9)).min(bytes.len()))),
        }
        if bytes.is_empty() {
            break;
        }
    }
    if kind > 1 { (sealed(&String::from_utf8_lossy(&bytes)), true) } else { (bytes, false) }
}

#[tokio::test]
async fn a_file_that_is_not_named_like_an_entry_is_none() {
    let store = stored(&all()).await;
    let mut objects = store.objects();
    for name in ["notes.txt", "1.json", "00000000.json", "00000003.json.bak", "000000015.json"] {
        let stray: Key = format!("api/local/00000007/{name}").parse().unwrap();
        objects.insert(stray, b"?".to_vec());
    }
    store.tamper(objects);
    assert_eq!(read(store).await.unwrap(), all());
}
