//! A client that speaks the protocol and keeps what it is told.

use std::collections::BTreeMap;

use dasklet_protocol::{PROTOCOL_VERSION, v1};
use dasklet_scheduler::server::Running;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::support::{connect, within};

/// A connected client.
pub struct Client {
    pub welcome: v1::ClientWelcome,
    pub events: Streaming<v1::ClientEvent>,
    messages: mpsc::UnboundedSender<v1::ClientMessage>,
    sequence: u64,
    /// What it was told.
    pub told: Told,
}

/// What a client was told.
#[derive(Debug, Default)]
pub struct Told {
    pub acknowledged: u64,
    pub accepted: BTreeMap<u64, u32>,
    pub done: BTreeMap<(u64, u32), Vec<u8>>,
    pub failures: BTreeMap<(u64, u32), v1::TaskFailure>,
    pub peers: BTreeMap<u32, String>,
    pub progress: BTreeMap<u32, v1::JobProgress>,
    pub put_targets: Vec<v1::PutTarget>,
    pub rejected: Option<String>,
}

pub fn hello(session: &str) -> v1::ClientHello {
    v1::ClientHello {
        protocol_version: PROTOCOL_VERSION,
        session: session.to_owned(),
        name: "test".to_owned(),
        version: "test".to_owned(),
        ..Default::default()
    }
}

/// A described task that is wanted.
pub fn task(key: &str, deps: &[u64]) -> v1::Task {
    v1::Task {
        key: key.as_bytes().to_vec().into(),
        body: "body".into(),
        deps: deps
            .iter()
            .map(|local| v1::Dependency {
                source: Some(v1::dependency::Source::Local(*local)),
                ..Default::default()
            })
            .collect(),
        wanted: true,
        ..Default::default()
    }
}

/// A task array that is wanted.
pub fn array(key: &str, members: u32) -> v1::Task {
    v1::Task { array: members, ..task(key, &[]) }
}

impl Client {
    /// A new session with one job, number 0.
    pub async fn connect(running: &Running, session: &str) -> Self {
        let mut client = Self::greet(running, hello(session)).await.unwrap();
        client.send(v1::ClientMessage {
            jobs: vec![v1::OpenJob { job: 0, name: "job".to_owned(), weight: 1.0 }],
            ..Default::default()
        });
        client
    }

    /// Connects with this hello; the reason if it is refused.
    pub async fn greet(running: &Running, hello: v1::ClientHello) -> Result<Self, String> {
        let (messages, stream) = mpsc::unbounded_channel();
        messages.send(v1::ClientMessage { hello: Some(hello), ..Default::default() }).unwrap();
        let mut events = connect(running)
            .await
            .client_session(UnboundedReceiverStream::new(stream))
            .await
            .unwrap()
            .into_inner();
        let first = within("a welcome", events.message()).await.unwrap().unwrap();
        if let Some(rejected) = first.rejected {
            return Err(rejected.reason);
        }
        let welcome = first.welcome.unwrap();
        let sequence = welcome.last_sequence;
        let mut client = Self { welcome, events, messages, sequence, told: Told::default() };
        client.told.take(first);
        Ok(client)
    }

    /// Sends a message under the next number.
    pub fn send(&mut self, message: v1::ClientMessage) {
        self.sequence += 1;
        self.send_raw(v1::ClientMessage { sequence: self.sequence, ..message });
    }

    /// Sends a message as it is.
    pub fn send_raw(&mut self, message: v1::ClientMessage) {
        // The scheduler may have ended the connection, which the next event shows.
        let _ = self.messages.send(message);
    }

    /// Submits to job 0.
    pub fn submit(&mut self, first: u64, tasks: Vec<v1::Task>) {
        let submit = v1::Submit { job: 0, first, options: vec![Default::default()], tasks };
        self.send(v1::ClientMessage { submit: Some(submit), ..Default::default() });
    }

    /// Takes in what the next message says; false when the scheduler ends the connection.
    pub async fn read(&mut self) -> bool {
        match within("an event", self.events.message()).await {
            Ok(Some(event)) => {
                self.told.take(event);
                true
            }
            _ => false,
        }
    }

    /// Reads until it was told enough.
    pub async fn until(&mut self, enough: impl Fn(&Told) -> bool) -> &Told {
        while !enough(&self.told) {
            assert!(self.read().await, "the connection ended: {:?}", self.told.rejected);
        }
        &self.told
    }
}

impl Told {
    fn take(&mut self, event: v1::ClientEvent) {
        self.acknowledged = self.acknowledged.max(event.acknowledged);
        for accepted in event.accepted {
            self.accepted.extend((accepted.first..).zip(accepted.specs));
        }
        self.peers.extend(event.peers.into_iter().map(|peer| (peer.worker, peer.name)));
        for done in event.done {
            self.take_done(&done);
        }
        for failure in event.failures {
            self.failures.insert((failure.local, failure.index), failure);
        }
        self.progress.extend(event.progress.into_iter().map(|p| (p.job, p)));
        self.put_targets.extend(event.put_targets);
        self.rejected = event.rejected.map(|rejected| rejected.reason);
    }

    fn take_done(&mut self, done: &v1::Done) {
        let mut values = &done.inline_bytes[..];
        for (position, local) in done.local.iter().enumerate() {
            assert!(self.accepted.contains_key(local), "an end comes after the acceptance");
            let index = done.index.get(position).copied().unwrap_or(0);
            let length = done.inline_length.get(position).copied().unwrap_or(0) as usize;
            let (value, rest) = values.split_at(length.saturating_sub(1));
            values = rest;
            self.done.insert((*local, index), value.to_vec());
        }
        assert!(values.is_empty(), "every inlined byte belongs to a value");
    }
}
