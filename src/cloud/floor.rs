//! Leave to look and act, where not everybody may at once.

use std::fmt;

/// Leave to look and act; given back when it is dropped.
#[derive(Default)]
pub struct Floor(Option<Box<dyn Send + Sync>>);

impl Floor {
    /// With something that is given back.
    pub fn held(permit: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(permit)))
    }
}

impl fmt::Debug for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Floor").field(&self.0.is_some()).finish()
    }
}
