//! The inbox as files: groups one after another in append-only segments, each flushed before it is
//! acknowledged.
//!
//! A frame is a hash, the group's number, its count of events, its length and its body. A crash can only
//! tear the last frame of the last segment, because a group is written after the one before it is on disk:
//! that tail is cut off at the start. Anything else that does not read back stops the lake; nothing is
//! skipped. A segment goes when a batch holds all of it.

use crate::error::LakeError;
use crate::inbox::Group;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Hash (16 bytes), number (8), count of events (4), length of the body (4).
const HEAD_BYTES: usize = 32;
/// Frames begin at multiples of this.
const ALIGN: usize = 8;
/// A file grows by zeros ahead of its frames: a flush that changes no size costs the disk half.
const GROWTH_BYTES: u64 = 256 << 10;
/// How much is read at once.
const READ_BYTES: usize = 256 << 10;

/// One frame, read and found right.
struct Frame<'a> {
    seq: i64,
    events: i64,
    body: &'a [u8],
    end: u64,
}

fn hash_of(head: &[u8], body: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head).update(body);
    let mut hash = [0; 16];
    hash.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    hash
}

fn encode(seq: i64, events: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity((HEAD_BYTES + body.len()).next_multiple_of(ALIGN));
    frame.extend_from_slice(&[0; 16]);
    frame.extend_from_slice(&seq.to_le_bytes());
    frame.extend_from_slice(&events.to_le_bytes());
    frame.extend_from_slice(&u32::try_from(body.len()).expect("a group is small").to_le_bytes());
    frame.extend_from_slice(body);
    let hash = hash_of(&frame[16..HEAD_BYTES], &frame[HEAD_BYTES..]);
    frame[..16].copy_from_slice(&hash);
    frame.resize(frame.len().next_multiple_of(ALIGN), 0);
    frame
}

/// A segment being read, with a window of it in memory.
struct Pages {
    file: File,
    path: PathBuf,
    start: u64,
    window: Vec<u8>,
}

impl Pages {
    fn open(folder: &Path, segment: i64) -> Result<Self, LakeError> {
        let path = path_of(folder, segment);
        let file = File::open(&path).map_err(at_path(&path))?;
        Ok(Self { file, path, start: 0, window: Vec::new() })
    }

    /// Up to `length` bytes from `at`; fewer at the end of the file.
    fn get(&mut self, at: u64, length: usize) -> Result<&[u8], LakeError> {
        let end = self.start + self.window.len() as u64;
        if at < self.start || at + length as u64 > end {
            self.window.resize(length.max(READ_BYTES), 0);
            let read = read_at_most(&self.file, &mut self.window, at).map_err(at_path(&self.path))?;
            self.window.truncate(read);
            self.start = at;
        }
        let from = usize::try_from(at - self.start).expect("inside the window");
        Ok(&self.window[from..self.window.len().min(from + length)])
    }

    /// The frame at `at`; none when what stands there is no whole frame.
    fn frame(&mut self, at: u64) -> Result<Option<Frame<'_>>, LakeError> {
        let Some(head) = self.get(at, HEAD_BYTES)?.first_chunk::<HEAD_BYTES>().copied() else { return Ok(None) };
        let seq = i64::from_le_bytes(head[16..24].try_into().expect("eight bytes"));
        let events = u32::from_le_bytes(head[24..28].try_into().expect("four bytes"));
        let length = u32::from_le_bytes(head[28..32].try_into().expect("four bytes")) as usize;
        let whole = HEAD_BYTES as u64 + length as u64;
        if seq <= 0 || at + whole > self.file.metadata().map_err(at_path(&self.path))?.len() {
            return Ok(None);
        }
        let body = &self.get(at, HEAD_BYTES + length)?[HEAD_BYTES..];
        if hash_of(&head[16..], body) != head[..16] {
            return Ok(None);
        }
        let end = at + whole.next_multiple_of(ALIGN as u64);
        Ok(Some(Frame { seq, events: i64::from(events), body, end }))
    }

    /// Whether a whole frame of group `seq` or a later one stands somewhere behind `at`.
    fn goes_on(&mut self, mut at: u64, seq: i64) -> Result<bool, LakeError> {
        let size = self.file.metadata().map_err(at_path(&self.path))?.len();
        while at < size {
            if self.frame(at)?.is_some_and(|frame| frame.seq >= seq) {
                return Ok(true);
            }
            at += ALIGN as u64;
        }
        Ok(false)
    }
}

fn read_at_most(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < out.len() {
        match file.read_at(&mut out[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn at_path(path: &Path) -> impl Fn(io::Error) -> LakeError + '_ {
    move |source| LakeError::Io { path: path.display().to_string(), source }
}

/// A segment is named by the number of its first group.
fn path_of(folder: &Path, segment: i64) -> PathBuf {
    folder.join(format!("{segment:020}.log"))
}

fn segments_in(folder: &Path) -> Result<VecDeque<i64>, LakeError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(at_path(folder))? {
        let name = entry.map_err(at_path(folder))?.file_name();
        found.extend(name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|no| no.parse::<i64>().ok()));
    }
    found.sort_unstable();
    Ok(found.into())
}

/// Where a group begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    segment: i64,
    offset: u64,
    seq: i64,
}

/// What writer and reader share.
struct State {
    /// First numbers of the segments on disk, ascending.
    segments: VecDeque<i64>,
    /// The newest group that is on disk.
    committed: i64,
    /// Groups up to this one are in batches.
    sealed: i64,
    /// Where reading goes on.
    next: Place,
    /// Where it goes on once all groups that were read last are in a batch.
    after_read: Option<Place>,
}

/// The reading side.
pub(crate) struct Log {
    folder: PathBuf,
    state: Mutex<State>,
}

/// The writing side: one for each log.
pub(crate) struct Writer {
    log: Arc<Log>,
    file: Option<File>,
    segment: i64,
    offset: u64,
    allocated: u64,
    next_seq: i64,
    segment_bytes_max: u64,
}

/// A log after its start.
pub(crate) struct Opened {
    pub(crate) log: Arc<Log>,
    pub(crate) writer: Writer,
    /// Bytes of groups that no batch holds.
    pub(crate) bytes: u64,
}

/// Opens the log, drops what batches hold, cuts a torn tail off.
pub(crate) fn open(folder: &Path, sealed: i64, segment_bytes_max: u64) -> Result<Opened, LakeError> {
    std::fs::create_dir_all(folder).map_err(at_path(folder))?;
    let mut segments = segments_in(folder)?;
    while segments.len() >= 2 && segments[1] <= sealed + 1 {
        remove(folder, segments.pop_front());
    }
    let mut scan = scan(folder, &segments, sealed)?;
    if scan.end.seq <= sealed + 1 {
        while let Some(segment) = segments.pop_front() {
            remove(folder, Some(segment));
        }
        scan.end = Place { segment: sealed + 1, offset: 0, seq: sealed + 1 };
    }
    let first = segments.front().copied().unwrap_or(scan.end.seq);
    let file = if segments.is_empty() { None } else { Some(cut(folder, scan.end)?) };
    let state = State {
        segments,
        committed: scan.end.seq - 1,
        sealed,
        next: Place { segment: first, offset: 0, seq: first },
        after_read: None,
    };
    let log = Arc::new(Log { folder: folder.to_owned(), state: Mutex::new(state) });
    let Place { segment, offset, seq: next_seq } = scan.end;
    let writer =
        Writer { log: Arc::clone(&log), file, segment, offset, allocated: offset, next_seq, segment_bytes_max };
    Ok(Opened { log, writer, bytes: scan.bytes })
}

struct Scan {
    end: Place,
    bytes: u64,
}

/// Reads everything: the groups must be there without a gap.
fn scan(folder: &Path, segments: &VecDeque<i64>, sealed: i64) -> Result<Scan, LakeError> {
    let first = segments.front().copied().unwrap_or(sealed + 1);
    let mut end = Place { segment: first, offset: 0, seq: first };
    let mut bytes = 0;
    for (index, segment) in segments.iter().copied().enumerate() {
        if segment != end.seq {
            return Err(damaged(folder, end));
        }
        end = Place { segment, offset: 0, seq: segment };
        let mut pages = Pages::open(folder, segment)?;
        // A refused group may stand at the end of its segment and, tried again, begin the next one.
        let limit = segments.get(index + 1).copied();
        while limit.is_none_or(|limit| end.seq < limit) {
            let Some(frame) = pages.frame(end.offset)?.filter(|frame| frame.seq == end.seq) else { break };
            bytes += if frame.seq > sealed { frame.body.len() as u64 } else { 0 };
            end = Place { offset: frame.end, seq: frame.seq + 1, ..end };
        }
        let torn = limit.is_none() && !pages.goes_on(end.offset, end.seq)?;
        if limit != Some(end.seq) && !torn {
            return Err(damaged(folder, end));
        }
    }
    Ok(Scan { end, bytes })
}

fn damaged(folder: &Path, at: Place) -> LakeError {
    let path = path_of(folder, at.segment);
    LakeError::Corrupt(format!("group {} of the inbox is damaged: {} at byte {}", at.seq, path.display(), at.offset))
}

fn remove(folder: &Path, segment: Option<i64>) {
    let Some(path) = segment.map(|segment| path_of(folder, segment)) else { return };
    if let Err(error) = std::fs::remove_file(&path) {
        // It is dropped at the next start: the batches say that they hold it.
        tracing::warn!(path = %path.display(), %error, "a sealed segment of the inbox cannot be removed");
    }
}

fn cut(folder: &Path, end: Place) -> Result<File, LakeError> {
    let path = path_of(folder, end.segment);
    let cut = || {
        let file = OpenOptions::new().write(true).open(&path)?;
        file.set_len(end.offset)?;
        file.sync_all()?;
        Ok(file)
    };
    cut().map_err(at_path(&path))
}

impl Log {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a plain assignment: none is left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the newest group that is on disk.
    pub(crate) fn newest(&self) -> i64 {
        self.state().committed
    }

    /// The oldest groups that no batch holds, together at least one and at most about `events_max` events.
    pub(crate) fn oldest(&self, events_max: u64, bytes_max: u64) -> Result<Vec<Group>, LakeError> {
        let (mut at, segments, committed, sealed) = {
            let state = self.state();
            (state.next, state.segments.clone(), state.committed, state.sealed)
        };
        let mut groups: Vec<Group> = Vec::new();
        let mut pages: Option<Pages> = None;
        let (mut events, mut bytes) = (0, 0);
        while at.seq <= committed {
            if at.segment != at.seq && segments.contains(&at.seq) {
                (at, pages) = (Place { segment: at.seq, offset: 0, seq: at.seq }, None);
            }
            if pages.is_none() {
                pages = Some(Pages::open(&self.folder, at.segment)?);
            }
            let frame = match &mut pages {
                Some(pages) => pages.frame(at.offset)?.filter(|frame| frame.seq == at.seq),
                None => None,
            };
            let Some(frame) = frame else { return Err(damaged(&self.folder, at)) };
            if frame.seq > sealed {
                events += frame.events.unsigned_abs();
                bytes += frame.body.len() as u64;
                if (events > events_max || bytes > bytes_max) && !groups.is_empty() {
                    break;
                }
                groups.push(Group { seq: frame.seq, events: frame.events, body: frame.body.to_vec() });
            }
            at = Place { offset: frame.end, seq: frame.seq + 1, ..at };
        }
        self.state().after_read = Some(at);
        Ok(groups)
    }

    /// Batches hold the groups up to `seq`: whole segments of them go.
    pub(crate) fn remove_through(&self, seq: i64) {
        let mut state = self.state();
        state.sealed = state.sealed.max(seq);
        if let Some(at) = state.after_read.take().filter(|at| at.seq <= state.sealed + 1) {
            state.next = at;
        }
        while state.segments.len() >= 2 && state.segments[1] <= state.sealed + 1 {
            remove(&self.folder, state.segments.pop_front());
        }
        let first = state.segments.front().copied().unwrap_or(state.next.seq);
        if state.next.segment < first {
            state.next = Place { segment: first, offset: 0, seq: first };
        }
    }
}

impl Writer {
    /// Writes a group. It is on disk when this returns; after an error it may or may not be kept.
    pub(crate) fn append(&mut self, events: u32, body: &[u8]) -> io::Result<()> {
        let written = self.write(encode(self.next_seq, events, body));
        if written.is_err() {
            // What stands behind the last good group is unknown now: the next group begins a new segment.
            if let Some(file) = self.file.take() {
                let _ = file.set_len(self.offset);
            }
            return written;
        }
        let mut state = self.log.state();
        if state.segments.back() != Some(&self.segment) {
            state.segments.push_back(self.segment);
        }
        state.committed = self.next_seq;
        self.next_seq += 1;
        Ok(())
    }

    fn write(&mut self, mut frame: Vec<u8>) -> io::Result<()> {
        let file = match self.file.take().filter(|_| self.offset < self.segment_bytes_max) {
            Some(file) => self.file.insert(file),
            None => {
                let file = new_segment(&self.log.folder, self.next_seq)?;
                (self.segment, self.offset, self.allocated) = (self.next_seq, 0, 0);
                self.file.insert(file)
            }
        };
        let end = self.offset + frame.len() as u64;
        let mut allocated = self.allocated;
        if end > allocated {
            allocated = end.next_multiple_of(GROWTH_BYTES);
            frame.resize(usize::try_from(allocated - self.offset).expect("a group is small"), 0);
        }
        file.write_all_at(&frame, self.offset)?;
        file.sync_data()?;
        (self.offset, self.allocated) = (end, allocated);
        Ok(())
    }
}

/// Makes a segment; one of the same name can only hold a group that was refused.
fn new_segment(folder: &Path, segment: i64) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path_of(folder, segment))?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}
