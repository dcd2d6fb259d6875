//! Whichever store an address names.

use super::bucket::{Address, BucketStore, Reach};
use super::{FileStore, Journal, JournalFault, Key, Put, Store, StoreFault, Sweep};
use crate::cloud::Finding;
use crate::model::Span;

/// A folder or a bucket. The port's calls are not object-safe, so they are handed on by name.
#[derive(Debug, Clone)]
pub enum AnyStore {
    /// A folder of this host.
    File(FileStore),
    /// A bucket.
    Bucket(BucketStore),
}

impl AnyStore {
    /// The store at an address. Makes no call. `env` says what the environment does, and `nonce` names this process.
    #[must_use]
    pub fn at(address: &Address, nonce: &str, env: &dyn Fn(&str) -> Option<String>) -> Self {
        match address {
            Address::File(folder) => Self::File(FileStore::new(folder)),
            Address::Bucket(bucket) => {
                Self::Bucket(BucketStore::new(bucket.clone(), Reach::from_env(bucket, nonce, env)))
            }
        }
    }

    /// Whether a call goes over a network and costs a little money.
    #[must_use]
    pub fn remote(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Bucket(_) => true,
        }
    }
}

impl Journal<AnyStore> {
    /// Whether the store is fit to keep a journal, as far as it may be asked; a folder belongs to its user alone.
    ///
    /// # Errors
    /// [`JournalFault::Store`] where this machine cannot ask at all.
    pub async fn examine(&self) -> Result<Vec<Finding>, JournalFault> {
        match self.store() {
            AnyStore::File(_) => Ok(Vec::new()),
            AnyStore::Bucket(store) => Ok(store.examine().await?),
        }
    }
}

impl Sweep for AnyStore {
    async fn remove(&self, key: &Key) -> Result<(), StoreFault> {
        match self {
            Self::File(store) => store.remove(key).await,
            Self::Bucket(store) => store.remove(key).await,
        }
    }
}

impl Store for AnyStore {
    async fn put_new(&self, key: &Key, bytes: &[u8]) -> Result<Put, StoreFault> {
        match self {
            Self::File(store) => store.put_new(key, bytes).await,
            Self::Bucket(store) => store.put_new(key, bytes).await,
        }
    }

    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreFault> {
        match self {
            Self::File(store) => store.get(key).await,
            Self::Bucket(store) => store.get(key).await,
        }
    }

    async fn list(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        match self {
            Self::File(store) => store.list(folder).await,
            Self::Bucket(store) => store.list(folder).await,
        }
    }

    async fn children(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        match self {
            Self::File(store) => store.children(folder).await,
            Self::Bucket(store) => store.children(folder).await,
        }
    }

    async fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreFault> {
        match self {
            Self::File(store) => store.put(key, bytes).await,
            Self::Bucket(store) => store.put(key, bytes).await,
        }
    }

    async fn age(&self, key: &Key) -> Result<Option<Span>, StoreFault> {
        match self {
            Self::File(store) => store.age(key).await,
            Self::Bucket(store) => store.age(key).await,
        }
    }

    fn place(&self, key: &Key) -> String {
        match self {
            Self::File(store) => store.place(key),
            Self::Bucket(store) => store.place(key),
        }
    }
}
