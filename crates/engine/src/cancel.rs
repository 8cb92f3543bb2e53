//! Requests to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops a decode, from any thread.
///
/// Where no decode runs, it stops the next.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    own: Arc<AtomicBool>,
    /// Another token's flag that stops the same decodes.
    outer: Option<Arc<AtomicBool>>,
}

impl CancelToken {
    /// A token for some of the decodes that this one stops.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { own: Arc::default(), outer: Some(Arc::clone(&self.own)) }
    }

    /// Asks for a stop.
    ///
    /// The decode then fails with [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn cancel(&self) {
        self.own.store(true, Ordering::Relaxed);
    }

    /// Takes the request back.
    pub fn clear(&self) {
        self.own.store(false, Ordering::Relaxed);
    }

    /// Whether a stop is asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.flags().any(|flag| flag.load(Ordering::Relaxed))
    }

    /// Whether a stop is asked for; the request is then met, and taken back.
    pub fn take(&self) -> bool {
        // Most decodes are not cancelled, and a load costs less than a swap.
        self.is_cancelled() && self.flags().filter(|flag| flag.swap(false, Ordering::Relaxed)).count() > 0
    }

    /// As [`CancelToken::take`], of a request to this token alone.
    pub fn take_own(&self) -> bool {
        self.own.load(Ordering::Relaxed) && self.own.swap(false, Ordering::Relaxed)
    }

    fn flags(&self) -> impl Iterator<Item = &AtomicBool> {
        std::iter::once(&*self.own).chain(self.outer.as_deref())
    }
}
