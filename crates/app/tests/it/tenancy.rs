//! The rules of the organisation tree, by their numbers, on both engines.

use super::*;
