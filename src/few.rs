//! Lists that mostly hold one.

use smallvec::SmallVec;

/// Several, or mostly one, which then takes no memory of its own: there are hundreds of thousands of such lists.
pub type Few<T> = SmallVec<[T; 1]>;
