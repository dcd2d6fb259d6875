//! Journals that do not keep what they promise.

use std::sync::Mutex;

use deployer::journal::{Key, MemoryStore, Put, Store, StoreFault};
use deployer::model::Span;

/// What is wrong with a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// An announcement is answered well and written with the next call.
    Late,
    /// An entry that is there already is replaced.
    Overwrites,
}

/// A store with a flaw.
pub struct Loose {
    store: MemoryStore,
    flaw: Option<Flaw>,
    kept: Mutex<Vec<(Key, Vec<u8>)>>,
}

impl Loose {
    pub fn new(store: MemoryStore, flaw: Option<Flaw>) -> Self {
        Self { store, flaw, kept: Mutex::new(Vec::new()) }
    }

    async fn write(&self) -> Result<(), StoreFault> {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        for (key, bytes) in kept {
            self.store.put_new(&key, &bytes).await?;
        }
        Ok(())
    }
}

impl Store for Loose {
    async fn put_new(&self, key: &Key, bytes: &[u8]) -> Result<Put, StoreFault> {
        self.write().await?;
        let announces = String::from_utf8_lossy(bytes).contains(r#""event":{"changing":"#);
        match self.flaw {
            Some(Flaw::Late) if announces => {
                self.kept.lock().unwrap().push((key.clone(), bytes.to_vec()));
                Ok(Put::Created)
            }
            Some(Flaw::Overwrites) => {
                let mut objects = self.store.objects();
                objects.insert(key.clone(), bytes.to_vec());
                self.store.tamper(objects);
                Ok(Put::Created)
            }
            Some(Flaw::Late) | None => self.store.put_new(key, bytes).await,
        }
    }

    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreFault> {
        self.write().await?;
        self.store.get(key).await
    }

    async fn list(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        self.store.list(folder).await
    }

    async fn children(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        self.store.children(folder).await
    }

    async fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreFault> {
        self.store.put(key, bytes).await
    }

    async fn age(&self, key: &Key) -> Result<Option<Span>, StoreFault> {
        self.store.age(key).await
    }

    fn place(&self, key: &Key) -> String {
        self.store.place(key)
    }
}
