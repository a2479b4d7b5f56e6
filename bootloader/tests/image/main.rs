//! Kernel images made here and packed with the real tools, good and bad.

mod accept;
mod builder;
mod hostile;
mod refuse;
