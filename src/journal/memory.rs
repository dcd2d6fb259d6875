//! A store in memory, for tests, drills and the simulator, with faults on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Key, OBJECT_MAX, Put, Store, StoreAction, StoreFault, StoreFaultKind, Sweep};
use crate::model::Span;

/// A store that ends with the process. A clone is another handle to the same objects.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

/// Decides what goes wrong with the next call.
type Hook = Box<dyn FnMut(&Call<'_>) -> Mishap + Send>;

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Vec<u8>>,
    hook: Option<Hook>,
}

/// A call that is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// What.
    pub action: StoreAction,
    /// On which object or folder.
    pub key: &'a Key,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// Nothing.
    None,
    /// The store says no, and nothing is written.
    Refused(StoreFaultKind),
    /// The call is lost on the way there; the caller cannot know.
    LostBefore(StoreFaultKind),
    /// The call is done and its reply is lost; the caller cannot know.
    LostAfter(StoreFaultKind),
}

impl MemoryStore {
    /// An empty store in which nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `hook` decides what goes wrong with each call. It must not call the store.
    pub fn on_call(&self, hook: impl FnMut(&Call<'_>) -> Mishap + Send + 'static) {
        self.state().hook = Some(Box::new(hook));
    }

    /// From now on nothing goes wrong.
    pub fn calm(&self) {
        self.state().hook = None;
    }

    /// Every object, to compare two runs byte for byte.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<Key, Vec<u8>> {
        self.state().objects.clone()
    }

    /// The objects behind this one in order, or all: to follow what is written without a call that could fail.
    #[must_use]
    pub fn objects_after(&self, last: Option<&Key>) -> Vec<(Key, Vec<u8>)> {
        let state = self.state();
        let behind = |key: &&Key| last.is_none_or(|last| *key > last);
        let objects = state.objects.iter().rev().take_while(|(key, _)| behind(key));
        let mut objects: Vec<_> = objects.map(|(key, bytes)| (key.clone(), bytes.clone())).collect();
        objects.reverse();
        objects
    }

    /// Puts these objects in place of all others, as a hand or a decaying disk could.
    pub fn tamper(&self, objects: BTreeMap<Key, Vec<u8>>) {
        self.state().objects = objects;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a hook leaves the objects whole: there is no half-made change to fear.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one call with whatever the hook has in mind for it.
    fn call<T>(
        &self,
        action: StoreAction,
        key: &Key,
        make: impl FnOnce(&mut BTreeMap<Key, Vec<u8>>) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let mut state = self.state();
        let mishap = state.hook.as_mut().map_or(Mishap::None, |hook| hook(&Call { action, key }));
        let fault = |kind| StoreFault::new(kind, action, self.place(key), "injected");
        match mishap {
            Mishap::None => make(&mut state.objects),
            Mishap::Refused(kind) => Err(fault(kind)),
            Mishap::LostBefore(kind) => Err(fault(kind).ambiguous()),
            Mishap::LostAfter(kind) => make(&mut state.objects).and(Err(fault(kind).ambiguous())),
        }
    }
}

impl Store for MemoryStore {
    async fn put_new(&self, key: &Key, bytes: &[u8]) -> Result<Put, StoreFault> {
        self.call(StoreAction::Write, key, |objects| {
            if objects.contains_key(key) {
                return Ok(Put::Exists);
            }
            objects.insert(key.clone(), bytes.to_vec());
            Ok(Put::Created)
        })
    }

    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreFault> {
        self.call(StoreAction::Read, key, |objects| match objects.get(key) {
            Some(bytes) if bytes.len() > OBJECT_MAX => {
                let message = format!("{} bytes", bytes.len());
                let kind = StoreFaultKind::TooLarge;
                Err(StoreFault::new(kind, StoreAction::Read, self.place(key), message))
            }
            found => Ok(found.cloned()),
        })
    }

    async fn list(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        self.call(StoreAction::List, folder, |objects| {
            let here = |key: &&Key| key.below(folder).is_some_and(|rest| !rest.contains('/'));
            Ok(objects.keys().filter(here).cloned().collect())
        })
    }

    async fn children(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        self.call(StoreAction::List, folder, |objects| {
            let child = |key: &Key| folder.join(key.below(folder)?.split_once('/')?.0).ok();
            let children: BTreeSet<_> = objects.keys().filter_map(child).collect();
            Ok(children.into_iter().collect())
        })
    }

    async fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreFault> {
        self.call(StoreAction::Write, key, |objects| {
            objects.insert(key.clone(), bytes.to_vec());
            Ok(())
        })
    }

    /// Time does not pass in here.
    async fn age(&self, key: &Key) -> Result<Option<Span>, StoreFault> {
        self.call(StoreAction::Read, key, |objects| Ok(objects.get(key).map(|_| Span::ZERO)))
    }

    fn place(&self, key: &Key) -> String {
        format!("memory:{key}")
    }
}

impl Sweep for MemoryStore {
    async fn remove(&self, key: &Key) -> Result<(), StoreFault> {
        self.call(StoreAction::Remove, key, |objects| {
            objects.remove(key);
            Ok(())
        })
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryStore({} objects)", self.state().objects.len())
    }
}
