//! A cell for statics of a program with one thread and no interrupts.

use core::cell::{RefCell, RefMut};

/// A value that only one vCPU ever touches.
pub(super) struct SingleCore<T>(RefCell<T>);

// SAFETY: the loader runs on vCPU 0 alone (it starts no other), with event upcalls masked; the trap handlers that
// could interrupt it never return to the interrupted code.
unsafe impl<T> Sync for SingleCore<T> {}

impl<T> SingleCore<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// The value, exclusively.
    ///
    /// # Panics
    /// When it is borrowed already: a bug in this room.
    pub(super) fn get(&self) -> RefMut<'_, T> {
        self.0.borrow_mut()
    }

    /// The value, unless it is borrowed (as it may be when a panic is being reported).
    pub(super) fn try_get(&self) -> Option<RefMut<'_, T>> {
        self.0.try_borrow_mut().ok()
    }
}
