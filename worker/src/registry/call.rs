//! How typed functions are called with MessagePack.

use std::{any::type_name, cell::RefCell};

use bytes::Bytes;
use dasklet_core::TaskError;
use serde::{Serialize, de::DeserializeOwned};

use crate::msgpack;

/// A function whose arguments, taken together, are `A`.
pub trait Function<A, R> {
    /// Calls it.
    ///
    /// # Errors
    /// Arguments of the wrong number or type.
    fn apply(&self, name: &str, args: &[Bytes]) -> Result<R, TaskError>;
}

/// A function that may fail.
pub trait Fallible<A, R, E> {
    /// Calls it.
    ///
    /// # Errors
    /// Arguments of the wrong number or type; its own error is inside.
    fn apply(&self, name: &str, args: &[Bytes]) -> Result<Result<R, E>, TaskError>;
}

impl<F, A, R, E> Fallible<A, R, E> for F
where
    F: Function<A, Result<R, E>>,
{
    fn apply(&self, name: &str, args: &[Bytes]) -> Result<Result<R, E>, TaskError> {
        Function::apply(self, name, args)
    }
}

macro_rules! functions {
    ($(($count:literal $($arg:ident $position:tt)*))*) => {$(
        impl<F, R, $($arg),*> Function<($($arg,)*), R> for F
        where
            F: Fn($($arg),*) -> R,
            $($arg: DeserializeOwned,)*
        {
            fn apply(&self, name: &str, args: &[Bytes]) -> Result<R, TaskError> {
                if args.len() != $count {
                    return Err(wrong_number(name, $count, args.len()));
                }
                Ok(self($(decode::<$arg>(name, $position, &args[$position])?),*))
            }
        }
    )*};
}

functions! {
    (0)
    (1 A 0)
    (2 A 0 B 1)
    (3 A 0 B 1 C 2)
    (4 A 0 B 1 C 2 D 3)
    (5 A 0 B 1 C 2 D 3 E 4)
    (6 A 0 B 1 C 2 D 3 E 4 G 5)
}

pub(super) fn wrong_number(name: &str, takes: usize, got: usize) -> TaskError {
    let plural = if takes == 1 { "" } else { "s" };
    TaskError::fatal(format!("operation '{name}' takes {takes} argument{plural}, got {got}"))
}

/// Reads one argument.
pub(super) fn decode<T: DeserializeOwned>(
    name: &str,
    position: usize,
    value: &[u8],
) -> Result<T, TaskError> {
    rmp_serde::from_slice(value).map_err(|_| {
        TaskError::fatal(format!(
            "operation '{name}', argument {}: expected {}, got {}",
            position + 1,
            short_type_name(type_name::<T>()),
            msgpack::show(value)
        ))
    })
}

/// Writes what a function returned, in no more bytes than it needs.
pub(super) fn encode<T: Serialize>(name: &str, value: &T) -> Result<Bytes, TaskError> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        rmp_serde::encode::write_named(buffer, value).map_err(|error| {
            TaskError::fatal(format!(
                "operation '{name}' returned what MessagePack cannot hold: {error}"
            ))
        })?;
        if buffer.len() < 64 << 10 {
            Ok(Bytes::copy_from_slice(buffer))
        } else {
            Ok(Bytes::from(std::mem::take(buffer)))
        }
    })
}

/// `alloc::vec::Vec<alloc::string::String>` as `Vec<String>`.
fn short_type_name(full: &str) -> String {
    let mut short = String::new();
    let mut word = 0;
    for c in full.chars() {
        if c == ':' {
            short.truncate(word);
        } else {
            short.push(c);
            if !(c.is_alphanumeric() || c == '_') {
                word = short.len();
            }
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_are_short() {
        for (full, short) in [
            ("i64", "i64"),
            ("alloc::vec::Vec<alloc::string::String>", "Vec<String>"),
            ("(f64, std::path::PathBuf)", "(f64, PathBuf)"),
            (type_name::<&[u8]>(), "&[u8]"),
        ] {
            assert_eq!(short_type_name(full), short);
        }
    }
}
