//! One request to one peer, and what comes back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use dasklet_protocol::{
    MAX_MESSAGE_BYTES,
    v1::{self, worker_data_client::WorkerDataClient},
};
use foldhash::HashMap;

use super::book::{Outcome, OutputKey, Request};
use crate::worker::Worker;

/// Before all holders are asked once more.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// A peer that sends nothing for so long is taken for broken.
const SILENCE: Duration = Duration::from_secs(30);
/// Smaller pieces are copied out of the message they came in, which is then free again.
const COPIED: usize = 64 << 10;

pub(super) fn start(worker: &Arc<Worker>, request: Request) {
    tokio::spawn(fetch(worker.clone(), request));
}

pub(super) fn retry_later(worker: &Arc<Worker>, session: u64, keys: Vec<OutputKey>) {
    let worker = worker.clone();
    tokio::spawn(async move {
        tokio::time::sleep(RETRY_AFTER).await;
        worker.fetcher.retry(&worker, session, keys);
    });
}

async fn fetch(worker: Arc<Worker>, request: Request) {
    let mut open: HashMap<u32, OutputKey> =
        request.outputs.iter().enumerate().map(|(n, key)| (n as u32, *key)).collect();
    if let Err(reason) = read(&worker, &request, &mut open).await {
        tracing::debug!("worker {} at {} cannot be read: {reason}", request.peer, request.address);
    }
    let broken = open.into_values().map(|key| (key, Outcome::Broken)).collect::<Vec<_>>();
    if !broken.is_empty() {
        worker.fetcher.deliver(&worker, request.session, request.peer, broken);
    }
    worker.fetcher.finished(&worker, &request);
}

/// Reads until all is there, and takes what has come off `open`.
async fn read(
    worker: &Arc<Worker>,
    request: &Request,
    open: &mut HashMap<u32, OutputKey>,
) -> Result<(), String> {
    let message = v1::FetchRequest {
        epoch: worker.epoch.load(Ordering::Relaxed),
        outputs: request
            .outputs
            .iter()
            .map(|(task, output)| v1::OutputId { task: task.to_bits(), output: *output })
            .collect(),
        holder: request.peer,
    };
    let mut client =
        WorkerDataClient::new(request.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let asked = tokio::time::timeout(SILENCE, client.fetch(message)).await;
    let mut chunks = asked
        .map_err(|_| "no answer".to_owned())?
        .map_err(|status| status.message().to_owned())?
        .into_inner();
    let mut partial: HashMap<u32, Partial> = HashMap::default();
    loop {
        let chunk = tokio::time::timeout(SILENCE, chunks.message())
            .await
            .map_err(|_| "it fell silent".to_owned())?
            .map_err(|status| status.message().to_owned())?;
        let Some(chunk) = chunk else { return Ok(()) };
        let mut outcomes = Vec::new();
        for piece in chunk.pieces {
            let bytes = piece.data.len() as u64;
            worker.counters.transferred_in.fetch_add(bytes, Ordering::Relaxed);
            let position = piece.position;
            if let Some(outcome) = assemble(&mut partial, piece)
                && let Some(key) = open.remove(&position)
            {
                outcomes.push((key, outcome));
            }
        }
        if !outcomes.is_empty() {
            worker.fetcher.deliver(worker, request.session, request.peer, outcomes);
        }
    }
}

/// An output of which some has come.
struct Partial {
    bytes: BytesMut,
    total: u64,
    outputs: u32,
}

fn assemble(partial: &mut HashMap<u32, Partial>, piece: v1::Piece) -> Option<Outcome> {
    if piece.missing {
        partial.remove(&piece.position);
        return Some(Outcome::Missing);
    }
    let Some(so_far) = partial.get_mut(&piece.position) else {
        if piece.last {
            return Some(whole(piece.data, piece.total, piece.outputs));
        }
        // What a peer says of the total is believed only as far as memory is cheap.
        let mut bytes = BytesMut::with_capacity(piece.total.min(1 << 30) as usize);
        bytes.extend_from_slice(&piece.data);
        let begun = Partial { bytes, total: piece.total, outputs: piece.outputs };
        partial.insert(piece.position, begun);
        return None;
    };
    so_far.bytes.extend_from_slice(&piece.data);
    if !piece.last {
        return None;
    }
    let done = partial.remove(&piece.position)?;
    Some(whole(done.bytes.freeze(), done.total, done.outputs))
}

fn whole(bytes: Bytes, total: u64, outputs: u32) -> Outcome {
    if bytes.len() as u64 != total {
        return Outcome::Broken;
    }
    let bytes = if bytes.len() < COPIED { Bytes::copy_from_slice(&bytes) } else { bytes };
    Outcome::Here(bytes, outputs)
}
