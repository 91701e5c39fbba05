//! What hostile bytes make the parsers allocate: never more than a fixed multiple of the bytes themselves.
//!
//! One test in a binary of its own, since the counters are those of the whole process.

use std::alloc::System;

use bytes::Bytes;
use shared::{
    update::{Ahead, History, StateVector, check},
    wire::{event, hocuspocus, link, text as text_frame, varint::Writer, yjs},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// All bytes that were ever asked for while `run` ran, freed or not.
fn allocated<T>(run: impl FnOnce() -> T) -> usize {
    let region = Region::new(ALLOCATOR);
    std::hint::black_box(run());
    let change = region.change();
    change.bytes_allocated + usize::try_from(change.bytes_reallocated).unwrap_or(0)
}

/// Numbers that announce far more than there is, in front of a little of everything.
fn boasts() -> Vec<Vec<u8>> {
    let numbers = [1_u64 << 16, 1 << 27, (1 << 31) - 1, u64::from(u32::MAX), (1 << 53) - 1, u64::MAX];
    let tails: [&[u8]; 4] = [&[], &[0; 64], &[1; 64], &[0x7f; 64]];
    let mut boasts = Vec::new();
    for number in numbers {
        for heads in 0..4 {
            for tail in tails {
                let mut writer = Writer::default();
                (0..heads).for_each(|_| writer.u8(1));
                writer.var(number);
                writer.raw(tail);
                boasts.push(writer.finish().to_vec());
            }
        }
    }
    boasts
}

/// As many things as fit: groups that wait for each other, ranges, awareness entries, link messages, clocks.
fn crowds() -> Vec<Vec<u8>> {
    const CLIENTS: u64 = 20_000;
    let numbers =
        |writer: &mut Writer, numbers: &[u64]| numbers.iter().for_each(|number| writer.var(*number));
    let crowd = |fill: &dyn Fn(&mut Writer, u64)| {
        let mut writer = Writer::default();
        writer.var(CLIENTS);
        (0..CLIENTS).for_each(|client| fill(&mut writer, client));
        writer
    };
    let mut waiting = crowd(&|writer, client| {
        numbers(writer, &[1, client, 0]);
        writer.u8(0x84);
        numbers(writer, &[(client + 1) % CLIENTS, 0]);
        writer.text("x");
    });
    waiting.var(0);
    let mut collected = crowd(&|writer, client| numbers(writer, &[1, client, 0, 0, 1]));
    collected.var(0);
    let mut ranges = Writer::default();
    ranges.raw(&[0, 1, 1]);
    ranges.raw(&crowd(&|writer, i| numbers(writer, &[3 * i, 1])).finish());
    let awareness = crowd(&|writer, client| {
        numbers(writer, &[client, 1]);
        writer.text("0");
    });
    let clocks = crowd(&|writer, client| numbers(writer, &[client, 1]));
    let mut pings = Writer::default();
    pings.u8(link::VERSION);
    (0..CLIENTS).for_each(|_| pings.raw(&[9, 0]));
    [waiting, collected, ranges, awareness, clocks, pings].map(|writer| writer.finish().to_vec()).into()
}

#[test]
fn allocation_is_bounded_by_what_was_sent() {
    for bytes in boasts().into_iter().chain(crowds()) {
        let most = |times: usize| times * bytes.len() + 2048;
        let shape = check(&bytes);
        let frame = Bytes::copy_from_slice(&bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut history = History::default();
        let measured = [
            ("client frame", 0, allocated(|| hocuspocus::read_client(&bytes))),
            ("server frame", 0, allocated(|| hocuspocus::read_server(&bytes))),
            ("bare frame", 0, allocated(|| yjs::read_y(&bytes))),
            ("shape", 8, allocated(|| check(&bytes))),
            ("event", 8, allocated(|| event::read(&text))),
            ("text frame", 8, allocated(|| text_frame::read(&text))),
            ("awareness", 32, allocated(|| yjs::read_relayed_awareness(&bytes))),
            ("state vector", 32, allocated(|| StateVector::read(&bytes))),
            ("comparison", 8, allocated(|| history.compare(&Ahead::default(), &bytes))),
            ("causality", 64, allocated(|| history.admit(&Ahead::default(), &bytes))),
            ("history", 128, allocated(|| History::of(&bytes))),
            ("hub frame", 224, allocated(|| link::decode_hub(&frame))),
            ("origin frame", 192, allocated(|| link::decode_origin(&frame))),
        ];
        for (parser, times, bytes_allocated) in measured {
            let start = &bytes[..bytes.len().min(16)];
            assert!(
                bytes_allocated <= most(times),
                "{parser}: {bytes_allocated} bytes for {} bytes {start:?} ({shape:?})",
                bytes.len()
            );
        }
    }
    // Where clients come in the order of Yjs, the shape check needs no memory at all.
    let text = [1, 1, 1, 0, 4, 1, 7, b'c', b'o', b'n', b't', b'e', b'n', b't', 2, b'h', b'i', 1, 1, 1, 0, 1];
    assert_eq!(allocated(|| check(&text)), 0);
    assert!(check(&text).is_ok());
}
