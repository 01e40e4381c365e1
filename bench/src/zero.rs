//! Many workers in one process that answer every task at once: what a thousand connections cost
//! the scheduler.

use anyhow::{Context, Result};
use clap::Args;
use dasklet_protocol::{
    PROTOCOL_VERSION,
    v1::{self, scheduler_client::SchedulerClient},
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::report::Report;

/// Options of the hidden `zero-workers`.
#[derive(Debug, Args)]
pub struct Options {
    #[arg(long)]
    scheduler: String,
    #[arg(long)]
    workers: u32,
    #[arg(long)]
    slots: u32,
}

/// Answers until the standard input is closed, as it is when the benchmark ends.
pub async fn run(options: &Options) -> Result<Option<Report>> {
    let uri = options.scheduler.replace("tcp://", "http://");
    let mut workers = JoinSet::new();
    for number in 0..options.workers {
        let hello = hello(number, options.slots);
        workers.spawn(work(uri.clone(), hello));
    }
    // A thread of its own, because a read of the standard input cannot be given up.
    let (closed, mut parent) = mpsc::channel::<()>(1);
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).ok();
        drop(closed);
    });
    tokio::select! {
        _ = parent.recv() => Ok(None),
        Some(ended) = workers.join_next() => ended?.map(|()| None),
    }
}

fn hello(number: u32, slots: u32) -> v1::WorkerMessage {
    let cpu = v1::ResourceAmount { name: "cpu".to_owned(), thousandths: u64::from(slots) * 1000 };
    v1::WorkerMessage {
        hello: Some(v1::WorkerHello {
            protocol_version: PROTOCOL_VERSION,
            name: format!("bench-{number}"),
            instance: format!("{}-{number}", std::process::id()),
            boot_nonce: format!("{number}"),
            data_address: "127.0.0.1:1".to_owned(),
            resources: vec![cpu],
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

async fn work(uri: String, hello: v1::WorkerMessage) -> Result<()> {
    let channel = tonic::transport::Endpoint::from_shared(uri)?.tcp_nodelay(true).connect().await?;
    let mut client = SchedulerClient::new(channel)
        .max_decoding_message_size(dasklet_protocol::MAX_MESSAGE_BYTES);
    let (answers, outgoing) = mpsc::unbounded_channel();
    answers.send(hello)?;
    let outgoing = futures::stream::unfold(outgoing, |mut outgoing| async {
        outgoing.recv().await.map(|message| (message, outgoing))
    });
    let mut commands = client.worker_session(outgoing).await?.into_inner();
    let mut beat = tokio::time::interval(std::time::Duration::from_secs(5));
    loop {
        tokio::select! {
            command = commands.message() => {
                let Some(command) = command? else { return Ok(()) };
                if let Some(rejected) = command.rejected {
                    anyhow::bail!("a zero worker was refused: {}", rejected.reason);
                }
                if let Some(message) = answer(&command) {
                    answers.send(message).context("the scheduler is gone")?;
                }
            }
            _ = beat.tick() => {
                let heartbeat = Some(v1::Heartbeat::default());
                let message = v1::WorkerMessage { heartbeat, ..Default::default() };
                answers.send(message).context("the scheduler is gone")?;
            }
        }
    }
}

/// All that a message assigns has ended, with an empty value.
fn answer(command: &v1::WorkerCommand) -> Option<v1::WorkerMessage> {
    let members = command.assign_members.iter().flat_map(|members| members.run.iter().copied());
    let run: Vec<u64> = command.assign.iter().map(|assign| assign.run).chain(members).collect();
    let nothing = run.len();
    (nothing > 0).then(|| v1::WorkerMessage {
        finished: Some(v1::Finished {
            run,
            nbytes: vec![0; nothing],
            micros: vec![0; nothing],
            inline_length: vec![1; nothing],
            ..Default::default()
        }),
        ..Default::default()
    })
}
