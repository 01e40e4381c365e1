//! A task as it travels, written straight into a buffer.

use crate::wire::{delimited_length, put_bytes, put_integer, put_length};

/// What to run, borrowed.
#[derive(Clone, Copy)]
pub(crate) enum BodyRef<'a> {
    Native { name: &'a str, args: &'a [u8] },
    Encoded(&'a [u8]),
}

/// All that a `Task` message says, ready to be written.
pub(crate) struct EncodedTask<'a> {
    pub(crate) body: BodyRef<'a>,
    /// Encoded `deps` fields.
    pub(crate) dependencies: &'a [u8],
    pub(crate) key: &'a [u8],
    pub(crate) options: u32,
    pub(crate) array: u32,
    pub(crate) outputs: u32,
    pub(crate) order: u32,
    pub(crate) wanted: bool,
    pub(crate) first_index: u32,
}

impl EncodedTask<'_> {
    /// Writes the content of the message.
    pub(crate) fn write(&self, buffer: &mut Vec<u8>) {
        use bytes::BufMut;
        put_bytes(buffer, 1, self.key);
        match self.body {
            BodyRef::Encoded(body) => put_bytes(buffer, 2, body),
            BodyRef::Native { name, args } => {
                let native = delimited_length(1, name.len()) + args.len();
                put_length(buffer, 2, delimited_length(1, native));
                put_length(buffer, 1, native);
                put_length(buffer, 1, name.len());
                buffer.put_slice(name.as_bytes());
                buffer.put_slice(args);
            }
        }
        buffer.put_slice(self.dependencies);
        put_integer(buffer, 4, u64::from(self.options));
        put_integer(buffer, 5, u64::from(self.array));
        put_integer(buffer, 6, u64::from(if self.outputs == 1 { 0 } else { self.outputs }));
        put_integer(buffer, 7, u64::from(self.order));
        put_integer(buffer, 8, u64::from(self.wanted));
        put_integer(buffer, 9, u64::from(self.first_index));
    }
}

#[cfg(test)]
mod tests {
    use dasklet_protocol::v1;
    use prost::Message;

    use super::*;
    use crate::spec::{Body, TaskSpec};

    #[test]
    fn a_task_is_read_back_as_it_was_written() {
        let TaskSpec { body: Body::Native { name, args }, .. } =
            TaskSpec::op("add", (1, 2)).unwrap()
        else {
            unreachable!("an operation")
        };
        let mut buffer = Vec::new();
        EncodedTask {
            body: BodyRef::Native { name: &name, args: &args },
            dependencies: &[],
            key: b"k",
            options: 3,
            array: 1000,
            outputs: 4,
            order: 9,
            wanted: true,
            first_index: 100,
        }
        .write(&mut buffer);
        let task = v1::Task::decode(&buffer[..]).unwrap();
        assert_eq!(
            (
                &task.key[..],
                task.options,
                task.array,
                task.outputs,
                task.order,
                task.wanted,
                task.first_index
            ),
            (&b"k"[..], 3, 1000, 4, 9, true, 100)
        );
        let body = v1::TaskBody::decode(task.body).unwrap();
        let Some(v1::task_body::Kind::Native(native)) = body.kind else { panic!("{body:?}") };
        assert_eq!((native.name.as_str(), native.args.len()), ("add", 2));
    }
}
