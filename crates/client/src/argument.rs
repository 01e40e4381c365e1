//! Arguments of operations: values, and outputs of other tasks.

use bytes::BufMut;
use serde::Serialize;

use crate::{
    dependency::Dep,
    error::ClientError,
    graph::Node,
    handle::{TaskArray, TaskFuture},
    wire::{put_integer_or_zero, put_length},
};

const ARGS_FIELD: u32 = 2;
const LITERAL_FIELD: u32 = 1;
const INPUT_FIELD: u32 = 2;
const INDEX_FIELD: u32 = 3;

/// Stands for the index of the member in its task array.
///
/// ```no_run
/// # use dasklet_client::{Client, Index};
/// # fn example(client: &Client) -> Result<(), dasklet_client::ClientError> {
/// let shifted = client.array_with::<i64>("add", 10, (Index, 100))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index;

/// Where arguments are written to.
#[derive(Debug, Default)]
pub struct ArgWriter {
    /// Encoded `args` fields of a `NativeOperation`.
    args: Vec<u8>,
    literal: Vec<u8>,
    dependencies: Vec<Dep>,
    count: u32,
}

impl ArgWriter {
    /// Adds a value.
    ///
    /// # Errors
    /// It cannot be written as MessagePack.
    pub fn literal(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), ClientError> {
        self.count += 1;
        self.literal.clear();
        // Field names are kept, so that both ends need not agree on the order of fields.
        let mut serializer = rmp_serde::Serializer::new(&mut self.literal).with_struct_map();
        value.serialize(&mut serializer).map_err(|error| ClientError::Encode {
            what: format!("argument {}", self.count),
            reason: error.to_string(),
        })?;
        let length = crate::wire::delimited_length(LITERAL_FIELD, self.literal.len());
        put_length(&mut self.args, ARGS_FIELD, length);
        put_length(&mut self.args, LITERAL_FIELD, self.literal.len());
        self.args.put_slice(&self.literal);
        Ok(())
    }

    /// Adds what another task gives.
    pub fn dependency(&mut self, dep: impl Into<Dep>) {
        self.count += 1;
        let position = self.dependencies.len() as u64;
        let mut argument = Vec::with_capacity(6);
        put_integer_or_zero(&mut argument, INPUT_FIELD, position);
        put_length(&mut self.args, ARGS_FIELD, argument.len());
        self.args.put_slice(&argument);
        self.dependencies.push(dep.into());
    }

    /// Adds the member's index.
    pub fn index(&mut self) {
        self.count += 1;
        put_length(&mut self.args, ARGS_FIELD, 2);
        put_integer_or_zero(&mut self.args, INDEX_FIELD, 1);
    }

    pub(crate) fn clear(&mut self) {
        self.args.clear();
        self.dependencies.clear();
        self.count = 0;
    }

    pub(crate) fn encoded(&self) -> &[u8] {
        &self.args
    }

    pub(crate) fn dependencies(&self) -> &[Dep] {
        &self.dependencies
    }

    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<Dep>) {
        (self.args, self.dependencies)
    }
}

/// One argument: anything that serde can serialize, a handle, a [`Node`], a [`Dep`], or [`Index`].
pub trait Arg {
    /// Writes it.
    ///
    /// # Errors
    /// It cannot be written as MessagePack.
    fn write(&self, writer: &mut ArgWriter) -> Result<(), ClientError>;
}

impl<V: Serialize + ?Sized> Arg for V {
    fn write(&self, writer: &mut ArgWriter) -> Result<(), ClientError> {
        writer.literal(self)
    }
}

impl Arg for Index {
    fn write(&self, writer: &mut ArgWriter) -> Result<(), ClientError> {
        writer.index();
        Ok(())
    }
}

impl Arg for Dep {
    fn write(&self, writer: &mut ArgWriter) -> Result<(), ClientError> {
        writer.dependency(self.clone());
        Ok(())
    }
}

impl Arg for Node {
    fn write(&self, writer: &mut ArgWriter) -> Result<(), ClientError> {
        writer.dependency(*self);
        Ok(())
    }
}

macro_rules! handle_argument {
    ($handle:ident) => {
        impl<T> Arg for $handle<T> {
            fn write(&self, writer: &mut ArgWriter) -> Result<(), ClientError> {
                writer.dependency(self);
                Ok(())
            }
        }

        impl<T> Arg for &$handle<T> {
            fn write(&self, writer: &mut ArgWriter) -> Result<(), ClientError> {
                writer.dependency(*self);
                Ok(())
            }
        }
    };
}

handle_argument!(TaskFuture);
handle_argument!(TaskArray);

/// The arguments of an operation: a tuple of up to eight.
pub trait Args {
    /// Writes them in order.
    ///
    /// # Errors
    /// One cannot be written as MessagePack.
    fn write_all(&self, writer: &mut ArgWriter) -> Result<(), ClientError>;
}

macro_rules! tuple_of_arguments {
    ($($name:ident)*) => {
        impl<$($name: Arg),*> Args for ($($name,)*) {
            #[allow(non_snake_case, unused_variables)]
            fn write_all(&self, writer: &mut ArgWriter) -> Result<(), ClientError> {
                let ($($name,)*) = self;
                $($name.write(writer)?;)*
                Ok(())
            }
        }
    };
}

tuple_of_arguments!();
tuple_of_arguments!(A);
tuple_of_arguments!(A B);
tuple_of_arguments!(A B C);
tuple_of_arguments!(A B C D);
tuple_of_arguments!(A B C D E);
tuple_of_arguments!(A B C D E F);
tuple_of_arguments!(A B C D E F G);
tuple_of_arguments!(A B C D E F G H);

#[cfg(test)]
mod tests {
    use dasklet_protocol::v1::{self, argument::Value};
    use prost::Message;

    use super::*;

    #[test]
    fn arguments_are_read_back_as_they_were_written() {
        let mut graph = crate::Graph::new();
        let node = graph.op("one", ());
        let mut writer = ArgWriter::default();
        (3i64, "text", node, Index, vec![1.5, 2.5], Dep::same_index(node))
            .write_all(&mut writer)
            .unwrap();
        let native = v1::NativeOperation::decode(writer.encoded()).unwrap();
        let values: Vec<_> =
            native.args.into_iter().map(|argument| argument.value.unwrap()).collect();
        let pack = |value: &dyn Fn() -> Vec<u8>| Value::Literal(value().into());
        assert_eq!(
            values,
            [
                pack(&|| rmp_serde::to_vec(&3).unwrap()),
                pack(&|| rmp_serde::to_vec("text").unwrap()),
                Value::Input(0),
                Value::Index(true),
                pack(&|| rmp_serde::to_vec(&vec![1.5, 2.5]).unwrap()),
                Value::Input(1),
            ]
        );
        assert_eq!(writer.dependencies().len(), 2);
    }
}
