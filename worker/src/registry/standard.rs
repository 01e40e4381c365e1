//! The standard operations.

use std::{
    fs::OpenOptions,
    io::Write,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dasklet_core::TaskError;

use super::{
    Registry, Returned, TaskContext,
    call::{decode, encode, wrong_number},
    numbers::Number,
};
use crate::msgpack::{self, NIL};

/// Looks this often whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(5);

pub(super) fn register_all(registry: &mut Registry) {
    plain(registry);
    arithmetic(registry);
    binary(registry);
    misbehaving(registry);
    for name in ["noop", "identity", "add", "mul", "cube"] {
        registry.promise_quick(name);
    }
}

fn plain(registry: &mut Registry) {
    registry.insert("noop", |_, _| Ok(Returned::One(NIL)));
    registry.explain("noop", "noop(...) -> nil: nothing, with any arguments");
    registry.insert("identity", |_, args| match args {
        [value] => Ok(Returned::One(value.clone())),
        _ => Err(wrong_number("identity", 1, args.len())),
    });
    registry.explain("identity", "identity(x) -> x");
    registry.insert("echo", |_, args| Ok(Returned::One(msgpack::list(args))));
    registry.explain("echo", "echo(...) -> the list of its arguments");
    registry.insert("sleep", |context, args| {
        wait(context, seconds("sleep", args)?, true).map(|()| Returned::One(NIL))
    });
    registry.explain("sleep", "sleep(seconds) -> nil: waits; a cancel ends it");
    registry.insert("spin", |context, args| {
        wait(context, seconds("spin", args)?, false).map(|()| Returned::One(NIL))
    });
    registry.explain("spin", "spin(seconds) -> nil: keeps its slot's processor busy");
    registry.register_fallible("append", append);
    registry.explain("append", "append(path, text) -> nil: adds a line to a file of the worker");
}

fn arithmetic(registry: &mut Registry) {
    registry.register_fallible("add", Number::plus);
    registry.explain("add", "add(a, b) -> a + b");
    registry.register_fallible("mul", Number::times);
    registry.explain("mul", "mul(a, b) -> a * b");
    registry.register_fallible("cube", |x: Number| x.times(x).and_then(|square| square.times(x)));
    registry.explain("cube", "cube(x) -> x * x * x");
    registry.register_fallible("sum", |list: Vec<Number>| {
        list.into_iter().try_fold(Number::Whole(0), Number::plus)
    });
    registry.explain("sum", "sum(list) -> the sum of a list of numbers; of an array: all members");
}

fn binary(registry: &mut Registry) {
    registry.insert("bytes", |context, args| {
        let (length, seed) = match args {
            [length] => (length, u64::from(context.index())),
            [length, seed] => (length, decode("bytes", 1, seed)?),
            _ => return Err(wrong_number("bytes", 2, args.len())),
        };
        let length: u32 = decode("bytes", 0, length)?;
        Ok(Returned::One(msgpack::binary(length as usize, |bytes| pseudo_random(seed, bytes))))
    });
    registry.explain(
        "bytes",
        "bytes(n, seed = index) -> n bytes that depend on the seed alone; see check_bytes",
    );
    registry.insert("check_bytes", |_, args| match args {
        [value, seed] => check_bytes(value, decode("check_bytes", 1, seed)?),
        _ => Err(wrong_number("check_bytes", 2, args.len())),
    });
    registry.explain(
        "check_bytes",
        "check_bytes(b, seed) -> length of b; fails unless b is what bytes(n, seed) gives",
    );
    registry.insert("crc32", |_, args| match args {
        [value] => encode("crc32", &crc32fast::hash(value)).map(Returned::One),
        _ => Err(wrong_number("crc32", 1, args.len())),
    });
    registry.explain("crc32", "crc32(x) -> checksum of the value as it travels");
    registry.insert("sum_bytes", |_, args| {
        let total: usize = args.iter().map(Bytes::len).sum();
        encode("sum_bytes", &total).map(Returned::One)
    });
    registry.explain("sum_bytes", "sum_bytes(...) -> bytes its arguments take as they travel");
    registry.insert("concat_len", |_, args| {
        let mut total = 0;
        for (position, arg) in args.iter().enumerate() {
            total += match msgpack::content(arg) {
                Some(content) => content.len(),
                None => decode::<Vec<Blob>>("concat_len", position, arg)?
                    .iter()
                    .map(|blob| blob.0)
                    .sum(),
            };
        }
        encode("concat_len", &total).map(Returned::One)
    });
    registry.explain(
        "concat_len",
        "concat_len(...) -> length of all texts, binaries, and lists of these, put together",
    );
    registry.insert("split", |context, args| match args {
        [value] => Ok(Returned::Many(split(value, context.outputs()))),
        _ => Err(wrong_number("split", 1, args.len())),
    });
    registry.explain(
        "split",
        "split(b) -> for each output of the task, its share of a text or binary, as a binary",
    );
}

fn misbehaving(registry: &mut Registry) {
    registry.register_fallible("fail", |message: String| Err::<(), _>(message));
    registry.explain("fail", "fail(message): an error that another try does not help");
    registry.insert("fail_until", |context, args| match args {
        [attempt, value] => {
            let attempt: u32 = decode("fail_until", 0, attempt)?;
            if context.attempt() < attempt {
                return Err(TaskError::retryable(format!(
                    "attempt {} of {attempt} fails on purpose",
                    context.attempt()
                )));
            }
            Ok(Returned::One(value.clone()))
        }
        _ => Err(wrong_number("fail_until", 2, args.len())),
    });
    registry.explain("fail_until", "fail_until(n, x) -> x, from the n-th attempt on");
    registry.register_fallible("panic", |message: String| -> Result<(), String> {
        std::panic::panic_any(message)
    });
    registry.explain("panic", "panic(message): panics; the worker survives");
    registry.insert("crash", |_, _| std::process::abort());
    registry.explain("crash", "crash(): aborts the worker's process, for tests of recovery");
    registry.insert("crash_until", |context, args| match args {
        [attempt, value] => {
            if context.attempt() < decode("crash_until", 0, attempt)? {
                std::process::abort();
            }
            Ok(Returned::One(value.clone()))
        }
        _ => Err(wrong_number("crash_until", 2, args.len())),
    });
    registry.explain("crash_until", "crash_until(n, x) -> x, from the n-th attempt on");
}

fn seconds(name: &str, args: &[Bytes]) -> Result<Duration, TaskError> {
    let [value] = args else {
        return Err(wrong_number(name, 1, args.len()));
    };
    let seconds: Number = decode(name, 0, value)?;
    Duration::try_from_secs_f64(seconds.as_f64()).map_err(|_| {
        TaskError::fatal(format!(
            "operation '{name}', argument 1: expected seconds, zero or more, got {}",
            seconds.as_f64()
        ))
    })
}

fn wait(context: &TaskContext, time: Duration, asleep: bool) -> Result<(), TaskError> {
    let end = Instant::now() + time;
    loop {
        if context.is_cancelled() {
            return Err(TaskError::new(dasklet_core::ErrorClass::Cancelled, "cancelled"));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        if asleep {
            std::thread::sleep(left.min(CANCEL_CHECK));
        } else {
            std::hint::spin_loop();
        }
    }
}

/// One write of one line, so that lines of several writers never mix.
fn append(path: String, text: String) -> Result<(), String> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| format!("cannot open '{path}': {error}"))?;
    file.write_all(format!("{text}\n").as_bytes())
        .map_err(|error| format!("cannot write to '{path}': {error}"))
}

/// Fills with bytes that depend on the seed alone (SplitMix64, Steele and others 2014).
fn pseudo_random(seed: u64, bytes: &mut [u8]) {
    let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
    }
}

fn check_bytes(value: &Bytes, seed: u64) -> Result<Returned, TaskError> {
    let content = msgpack::content(value).ok_or_else(|| {
        TaskError::fatal(format!(
            "operation 'check_bytes', argument 1: expected a binary, got {}",
            msgpack::show(value)
        ))
    })?;
    let mut expected = vec![0; content.len()];
    pseudo_random(seed, &mut expected);
    match content.iter().zip(&expected).position(|(got, expected)| got != expected) {
        None => encode("check_bytes", &content.len()).map(Returned::One),
        Some(position) => Err(TaskError::fatal(format!(
            "byte {position} of {} is not what bytes({}, {seed}) gives",
            content.len(),
            content.len()
        ))),
    }
}

fn split(value: &Bytes, outputs: u32) -> Vec<Bytes> {
    let content = msgpack::content(value).unwrap_or_else(|| value.clone());
    let outputs = outputs as usize;
    let bound = |k: usize| k * content.len() / outputs.max(1);
    (0..outputs)
        .map(|k| {
            let share = &content[bound(k)..bound(k + 1)];
            msgpack::binary(share.len(), |bytes| bytes.copy_from_slice(share))
        })
        .collect()
}

/// Length of a text or binary.
struct Blob(usize);

impl<'de> serde::Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl serde::de::Visitor<'_> for Read {
            type Value = Blob;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or binary")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.len()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Blob, E> {
                Ok(Blob(text.len()))
            }
        }

        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde::Serialize;

    use super::*;

    fn pack<T: Serialize>(value: T) -> Bytes {
        Bytes::from(rmp_serde::to_vec(&value).unwrap())
    }

    fn call(name: &str, args: &[Bytes]) -> Result<Vec<Bytes>, String> {
        let context = TaskContext { index: 7, attempt: 2, outputs: 3, flags: Arc::default() };
        let operation = Registry::standard().find(name).map_err(|error| error.message)?;
        match operation.call(&context, args).map_err(|error| error.message)? {
            Returned::One(value) => Ok(vec![value]),
            Returned::Many(values) => Ok(values),
        }
    }

    fn shown(name: &str, args: &[Bytes]) -> String {
        match call(name, args) {
            Ok(values) => values.iter().map(|v| msgpack::show(v)).collect::<Vec<_>>().join("; "),
            Err(message) => message,
        }
    }

    #[test]
    fn what_the_operations_give() {
        for (name, args, gives) in [
            ("noop", vec![pack(1)], "nil"),
            ("identity", vec![pack("x")], "\"x\""),
            ("echo", vec![pack(1), pack("x")], "[1, \"x\"]"),
            ("add", vec![pack(2), pack(3)], "5"),
            ("add", vec![pack(2), pack(0.5)], "2.5"),
            ("mul", vec![pack(-2), pack(3)], "-6"),
            ("cube", vec![pack(3)], "27"),
            ("sum", vec![pack(vec![1, 2, 3])], "6"),
            ("sleep", vec![pack(0)], "nil"),
            ("concat_len", vec![pack("abc"), pack(vec!["d", "ef"])], "6"),
            ("fail_until", vec![pack(2), pack(9)], "9"),
            ("split", vec![pack("abcdefg")], "2 bytes; 2 bytes; 3 bytes"),
        ] {
            assert_eq!(shown(name, &args), gives, "{name}");
        }
    }

    #[test]
    fn errors_name_operation_argument_type_and_value() {
        for (name, args, says) in [
            ("cube", vec![pack("x")], "operation 'cube', argument 1: expected Number, got \"x\""),
            ("cube", vec![], "operation 'cube' takes 1 argument, got 0"),
            (
                "add",
                vec![pack(1), pack(())],
                "operation 'add', argument 2: expected Number, got nil",
            ),
            (
                "add",
                vec![pack(i64::MAX), pack(1)],
                "9223372036854775807 + 1 does not fit into 64 bits: use a float, such as 9223372036854775807.0",
            ),
            (
                "sleep",
                vec![pack(-1)],
                "operation 'sleep', argument 1: expected seconds, zero or more, got -1",
            ),
            ("fail", vec![pack("no luck")], "no luck"),
            ("fail_until", vec![pack(3), pack(9)], "attempt 2 of 3 fails on purpose"),
        ] {
            assert_eq!(shown(name, &args), says, "{name}");
        }
        let unknown = shown("cubee", &[]);
        assert!(
            unknown.starts_with("unknown operation 'cubee': this worker knows add, "),
            "{unknown}"
        );
    }

    #[test]
    fn bytes_can_be_checked() {
        for length in [0, 1, 9, 10_000] {
            let bytes = call("bytes", &[pack(length), pack(5)]).unwrap().remove(0);
            assert_eq!(shown("check_bytes", &[bytes.clone(), pack(5)]), length.to_string());
            if length > 0 {
                assert!(call("check_bytes", &[bytes, pack(6)]).is_err());
            }
        }
        assert_eq!(
            call("bytes", &[pack(100)]).unwrap(),
            call("bytes", &[pack(100), pack(7)]).unwrap(),
            "the default seed is the index"
        );
    }

    #[test]
    fn every_standard_operation_is_described() {
        for operation in Registry::standard().describe() {
            assert!(operation.text.starts_with(&operation.name), "{}", operation.name);
        }
    }
}
