//! How what a run reads, and who holds it, is put into messages.

use bytes::Bytes;
use dasklet_core::{Resources, WorkerId};
use dasklet_protocol::{TARGET_MESSAGE_BYTES, v1};

use super::bits::Bits;
use crate::state::{InputView, State};

/// Caches that a run is told of, so that not everybody reads from the one holder.
const CACHES: usize = 3;

/// Adds a peer entry before the first mention of a worker; false if the worker is gone and was
/// never mentioned.
pub(super) fn mention(
    state: &State,
    known: &mut Bits,
    peers: &mut Vec<v1::Peer>,
    worker: WorkerId,
) -> bool {
    if known.contains(worker.0) {
        return true;
    }
    let Some(description) = state.worker_description(worker) else { return false };
    known.insert(worker.0);
    peers.push(v1::Peer {
        worker: worker.0,
        data_address: description.data_address.clone(),
        name: description.name.clone(),
    });
    true
}

/// Resources as they travel.
pub(super) fn amounts(resources: &Resources) -> Vec<v1::ResourceAmount> {
    resources
        .iter()
        .map(|(name, thousandths)| v1::ResourceAmount { name: name.to_owned(), thousandths })
        .collect()
}

/// One resolved dependency. Values travel inside as long as a message's share of them,
/// `inlined`, is not used up; beyond it the run reads them from their holder.
pub(super) fn write(
    state: &State,
    input: InputView<'_>,
    known: &mut Bits,
    peers: &mut Vec<v1::Peer>,
    inlined: &mut usize,
) -> v1::Input {
    let source = match input {
        InputView::One { task, output, holders, caches, nbytes, inline, varying } => {
            let inline = inline.filter(|value| *inlined + value.len() <= TARGET_MESSAGE_BYTES);
            *inlined += inline.map_or(0, <[u8]>::len);
            v1::input::Source::One(v1::OneInput {
                task: task.to_bits(),
                output,
                holders: holders
                    .iter()
                    .chain(caches.iter().rev().take(CACHES))
                    .filter(|holder| mention(state, known, peers, **holder))
                    .map(|holder| holder.0)
                    .collect(),
                nbytes,
                inline: inline.map(Bytes::copy_from_slice),
                varying,
            })
        }
        InputView::Many(view) => {
            let mut many = v1::ManyInputs {
                spec: view.spec.0,
                output: view.output,
                varying: view.varying,
                holder: Vec::with_capacity(view.members as usize),
                nbytes: Vec::with_capacity(view.members as usize),
                ..Default::default()
            };
            let mut values = Vec::new();
            let mut lengths: Vec<u32> = Vec::new();
            for (position, member) in view.iter().enumerate() {
                mention(state, known, peers, member.holder);
                many.holder.push(member.holder.0);
                many.nbytes.push(member.nbytes);
                let value =
                    member.inline.filter(|value| *inlined + value.len() <= TARGET_MESSAGE_BYTES);
                if let Some(value) = value {
                    *inlined += value.len();
                    lengths.resize(position, 0);
                    lengths.push(u32::try_from(value.len() + 1).unwrap_or(0));
                    values.extend_from_slice(value);
                } else if !lengths.is_empty() {
                    lengths.push(0);
                }
            }
            many.inline_length = lengths;
            many.inline_bytes = values.into();
            v1::input::Source::Many(many)
        }
    };
    v1::Input { source: Some(source) }
}

/// About how many bytes an input takes in a message.
pub(super) fn size(input: &v1::Input) -> usize {
    match &input.source {
        Some(v1::input::Source::One(one)) => {
            32 + 4 * one.holders.len() + one.inline.as_ref().map_or(0, Bytes::len)
        }
        Some(v1::input::Source::Many(many)) => {
            16 + 8 * many.holder.len() + many.inline_length.len() + many.inline_bytes.len()
        }
        None => 0,
    }
}
