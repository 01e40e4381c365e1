//! A worker that runs nothing: it answers each run with the member's index as an 8-byte value.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
};

use dasklet_protocol::{PROTOCOL_VERSION, v1};
use dasklet_scheduler::server::Running;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::support::{connect, within};

/// A connected worker.
pub struct Worker {
    pub id: u32,
    pub commands: Streaming<v1::WorkerCommand>,
    pub messages: mpsc::UnboundedSender<v1::WorkerMessage>,
    specs: HashMap<u32, v1::DefineSpec>,
}

/// One run that a worker was handed.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub run: u64,
    pub spec: u32,
    pub index: u32,
    pub attempt: u32,
    pub inputs: Vec<v1::Input>,
}

pub fn hello(name: &str) -> v1::WorkerHello {
    static STARTS: AtomicU32 = AtomicU32::new(0);
    v1::WorkerHello {
        protocol_version: PROTOCOL_VERSION,
        name: name.to_owned(),
        instance: format!("instance of {name}"),
        boot_nonce: STARTS.fetch_add(1, Ordering::Relaxed).to_string(),
        data_address: "127.0.0.1:1".to_owned(),
        resources: vec![v1::ResourceAmount { name: "cpu".to_owned(), thousandths: 2000 }],
        version: "test".to_owned(),
        ..Default::default()
    }
}

impl Worker {
    /// A worker of this name, with two slots.
    pub async fn connect(running: &Running, name: &str) -> Self {
        Self::greet(running, hello(name)).await.unwrap()
    }

    /// Connects with this hello; the reason if it is refused.
    pub async fn greet(running: &Running, hello: v1::WorkerHello) -> Result<Self, String> {
        let (messages, stream) = mpsc::unbounded_channel();
        messages.send(v1::WorkerMessage { hello: Some(hello), ..Default::default() }).unwrap();
        let mut commands = connect(running)
            .await
            .worker_session(UnboundedReceiverStream::new(stream))
            .await
            .unwrap()
            .into_inner();
        let first = within("a welcome", commands.message()).await.unwrap().unwrap();
        if let Some(rejected) = first.rejected {
            return Err(rejected.reason);
        }
        let id = first.welcome.unwrap().worker;
        Ok(Self { id, commands, messages, specs: HashMap::new() })
    }

    pub fn send(&self, message: v1::WorkerMessage) {
        self.messages.send(message).unwrap();
    }

    /// The next message; none when the scheduler ends the connection.
    pub async fn next(&mut self) -> Option<v1::WorkerCommand> {
        within("a command", self.commands.message()).await.unwrap_or(None)
    }

    /// The runs of the next message that has some.
    pub async fn next_runs(&mut self) -> Vec<Run> {
        loop {
            let command = self.next().await.expect("the connection goes on");
            let runs = self.runs(command);
            if !runs.is_empty() {
                return runs;
            }
        }
    }

    /// Remembers definitions, and lists what is to run.
    pub fn runs(&mut self, command: v1::WorkerCommand) -> Vec<Run> {
        let mut runs = Vec::new();
        for spec in command.forget_specs {
            self.specs.remove(&spec);
        }
        for spec in command.define {
            let again = self.specs.insert(spec.spec, spec);
            assert_eq!(again, None, "a task array is defined once");
        }
        for assign in command.assign {
            runs.push(Run {
                run: assign.run,
                spec: assign.spec.unwrap().spec,
                index: 0,
                attempt: assign.attempt,
                inputs: assign.inputs,
            });
        }
        for members in command.assign_members {
            assert!(self.specs.contains_key(&members.spec), "defined before its first run");
            for (position, run) in members.run.iter().enumerate() {
                runs.push(Run {
                    run: *run,
                    spec: members.spec,
                    index: members.index[position],
                    attempt: members.attempt.get(position).copied().unwrap_or(1),
                    inputs: members.inputs.get(position).map_or(vec![], |i| i.inputs.clone()),
                });
            }
        }
        runs
    }

    /// Ends these runs well.
    pub fn finish(&self, runs: &[Run]) {
        self.send(v1::WorkerMessage { finished: Some(finished(runs)), ..Default::default() });
    }

    /// Ends every run well until the connection ends.
    pub fn serve(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            while let Ok(Some(command)) = self.commands.message().await {
                let runs = self.runs(command);
                if !runs.is_empty() {
                    self.finish(&runs);
                }
            }
        })
    }
}

fn finished(runs: &[Run]) -> v1::Finished {
    v1::Finished {
        run: runs.iter().map(|run| run.run).collect(),
        nbytes: vec![8; runs.len()],
        micros: vec![5; runs.len()],
        inline_length: vec![9; runs.len()],
        inline_bytes: runs.iter().flat_map(|run| u64::from(run.index).to_le_bytes()).collect(),
    }
}
