//! Builders of what a scheduler assigns.

use bytes::Bytes;
use dasklet_protocol::v1::{self, argument::Value, input::Source, task_body::Kind};
use prost::Message;
use serde::Serialize;

pub fn task(spec: u32, index: u32) -> u64 {
    u64::from(spec) << 32 | u64::from(index)
}

pub fn literal<T: Serialize>(value: T) -> Value {
    Value::Literal(Bytes::from(rmp_serde::to_vec(&value).unwrap()))
}

fn body(kind: Kind) -> Bytes {
    Bytes::from(v1::TaskBody { kind: Some(kind) }.encode_to_vec())
}

pub fn native(name: &str, args: Vec<Value>) -> Bytes {
    let args = args.into_iter().map(|value| v1::Argument { value: Some(value) }).collect();
    body(Kind::Native(v1::NativeOperation { name: name.to_owned(), args }))
}

pub fn command(command: v1::Command) -> Bytes {
    body(Kind::Command(command))
}

pub fn shell(script: &str) -> v1::Command {
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    v1::Command { argv, ..v1::Command::default() }
}

pub fn define(spec: u32, body: Bytes) -> v1::DefineSpec {
    v1::DefineSpec { spec, body, outputs: 1, ..v1::DefineSpec::default() }
}

/// A described task `spec`, whose run has the same number.
pub fn assign(spec: u32, body: Bytes) -> v1::Assign {
    v1::Assign {
        spec: Some(define(spec, body)),
        run: u64::from(spec),
        attempt: 1,
        ..v1::Assign::default()
    }
}

pub fn assigns(assign: Vec<v1::Assign>) -> v1::WorkerCommand {
    v1::WorkerCommand { assign, ..v1::WorkerCommand::default() }
}

/// Members `0..count` of array `spec`; member n has run `first + n`.
pub fn members(spec: u32, body: Bytes, count: u32, first: u64) -> v1::WorkerCommand {
    v1::WorkerCommand {
        define: vec![define(spec, body)],
        assign_members: vec![v1::AssignMembers {
            spec,
            index: (0..count).collect(),
            run: (0..u64::from(count)).map(|n| first + n).collect(),
            ..v1::AssignMembers::default()
        }],
        ..v1::WorkerCommand::default()
    }
}

pub fn one(task: u64, output: u32, holders: &[u32], nbytes: u64) -> v1::Input {
    v1::Input {
        source: Some(Source::One(v1::OneInput {
            task,
            output,
            holders: holders.to_vec(),
            nbytes,
            ..v1::OneInput::default()
        })),
    }
}

pub fn many(spec: u32, output: u32, holder: Vec<u32>, nbytes: u64) -> v1::Input {
    let nbytes = vec![nbytes; holder.len()];
    v1::Input {
        source: Some(Source::Many(v1::ManyInputs {
            spec,
            output,
            holder,
            nbytes,
            ..v1::ManyInputs::default()
        })),
    }
}

pub fn peer(worker: u32, data_address: &str) -> v1::WorkerCommand {
    v1::WorkerCommand {
        peers: vec![v1::Peer {
            worker,
            data_address: data_address.to_owned(),
            name: format!("w{worker}"),
        }],
        ..v1::WorkerCommand::default()
    }
}
