//! Sums in the making: for each series (who and what) its buckets in order of time.
//!
//! A worker adds what it reads to its own [`Sums`]; [`Totals`] brings those of all workers under one numbering
//! of the texts and makes the rows of the answer. Memory grows with the groups of the answer, not with rows read.

use crate::error::LakeError;
use crate::roll_up::RolledUp;
use base::{DecimalError, OrgId, QuantityNano, UserId};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// Numbers of the texts that tell a series apart: organisation, user, meter, dimensions. A column that was not
/// asked for has the number of the empty text, 0.
pub(crate) type Series = [u32; 4];

/// A multiplicative hash for small integers: the std one costs more than the sum itself.
#[derive(Default, Clone, Copy)]
struct SmallHasher(u64);

impl Hasher for SmallHasher {
    fn finish(&self) -> u64 {
        // The table takes its place from the low bits, and a product mixes upwards only.
        self.0.rotate_left(26)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }
}

type SeriesMap<V> = HashMap<u128, V, BuildHasherDefault<SmallHasher>>;

/// Packed, so that a series is hashed and compared as one number, in the order of its columns.
fn pack(series: Series) -> u128 {
    series.into_iter().fold(0, |packed, number| (packed << 32) | u128::from(number))
}

fn unpack(packed: u128) -> Series {
    [96, 64, 32, 0].map(|shift| (packed >> shift) as u32)
}

/// Numbers for texts. The empty text is number 0.
struct Texts {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Default for Texts {
    fn default() -> Self {
        let mut texts = Self { numbers: HashMap::new(), texts: Vec::new() };
        texts.number("");
        texts
    }
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).expect("fewer than 2^32 different texts");
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }
}

/// The sum of one bucket of a series.
#[derive(Clone, Copy)]
struct Cell {
    quantity: i128,
    bucket_us: i64,
    records: u64,
}

impl Cell {
    fn add(&mut self, other: Self) -> Result<(), DecimalError> {
        self.quantity = self.quantity.checked_add(other.quantity).ok_or(DecimalError::Overflow)?;
        self.records += other.records;
        Ok(())
    }
}

/// The buckets of one series, ascending.
type Cells = Vec<Cell>;

/// Adds to a bucket: nearly always the newest or a newer one, because files and their rows come in order of time.
fn add_cell(cells: &mut Cells, cell: Cell) -> Result<(), DecimalError> {
    match cells.last_mut() {
        Some(last) if last.bucket_us == cell.bucket_us => return last.add(cell),
        Some(last) if last.bucket_us > cell.bucket_us => {}
        _ => {
            cells.push(cell);
            return Ok(());
        }
    }
    match cells.binary_search_by_key(&cell.bucket_us, |held| held.bucket_us) {
        Ok(place) => cells[place].add(cell),
        Err(place) => {
            cells.insert(place, cell);
            Ok(())
        }
    }
}

/// Two lists of buckets as one.
fn merge_cells(one: Cells, other: Cells) -> Result<Cells, DecimalError> {
    let mut merged = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    loop {
        let next = match (one.peek(), other.peek()) {
            (Some(a), Some(b)) if b.bucket_us < a.bucket_us => other.next(),
            (Some(_), _) => one.next(),
            (None, _) => other.next(),
        };
        let Some(next) = next else { return Ok(merged) };
        add_cell(&mut merged, next)?;
    }
}

/// The sums of one worker.
#[derive(Default)]
pub(crate) struct Sums {
    texts: Texts,
    places: SeriesMap<usize>,
    cells: Vec<Cells>,
    overflow: bool,
}

impl Sums {
    /// The number of a text.
    pub(crate) fn name(&mut self, text: &str) -> u32 {
        self.texts.number(text)
    }

    /// Where a series is summed.
    pub(crate) fn place(&mut self, series: Series) -> usize {
        *self.places.entry(pack(series)).or_insert_with(|| {
            self.cells.push(Vec::new());
            self.cells.len() - 1
        })
    }

    /// Adds a record for each quantity. A sum that leaves 128 bits makes the whole answer an error.
    pub(crate) fn add(&mut self, place: usize, bucket_us: i64, quantities: &[i128]) {
        let mut sum = 0_i128;
        for quantity in quantities {
            let (next, overflow) = sum.overflowing_add(*quantity);
            self.overflow |= overflow;
            sum = next;
        }
        let cell = Cell { quantity: sum, bucket_us, records: quantities.len() as u64 };
        self.overflow |= add_cell(&mut self.cells[place], cell).is_err();
    }
}

/// The sums of all workers, under one numbering of the texts.
#[derive(Default)]
pub(crate) struct Totals {
    texts: Texts,
    cells: SeriesMap<Cells>,
}

impl Totals {
    /// Adds what one worker summed.
    pub(crate) fn take(&mut self, mut sums: Sums) -> Result<(), LakeError> {
        if sums.overflow {
            return Err(DecimalError::Overflow.into());
        }
        let renamed: Vec<u32> = sums.texts.texts.iter().map(|text| self.texts.number(text)).collect();
        for (series, place) in sums.places {
            let series = pack(unpack(series).map(|number| renamed[number as usize]));
            let fresh = std::mem::take(&mut sums.cells[place]);
            let held = self.cells.entry(series).or_default();
            *held = if held.is_empty() { fresh } else { merge_cells(std::mem::take(held), fresh)? };
        }
        Ok(())
    }

    /// The rows in order of their texts: texts are compared once each, series by numbers.
    pub(crate) fn into_rows(self) -> Result<Vec<RolledUp>, LakeError> {
        let texts = self.texts.texts;
        let mut order: Vec<u32> = (0..u32::try_from(texts.len()).expect("fewer than 2^32 texts")).collect();
        order.sort_unstable_by(|a, b| texts[*a as usize].cmp(&texts[*b as usize]));
        let mut rank = vec![0_u32; texts.len()];
        for (place, number) in (0_u32..).zip(&order) {
            rank[*number as usize] = place;
        }
        let ranked = |series: u128| pack(unpack(series).map(|number| rank[number as usize]));
        let mut all: Vec<(u128, Cells)> =
            self.cells.into_iter().map(|(series, cells)| (ranked(series), cells)).collect();
        all.sort_unstable_by_key(|(series, _)| *series);
        let damaged = |_| LakeError::Corrupt("an id in a lake file is damaged".to_owned());
        let mut rows = Vec::with_capacity(all.iter().map(|(_, cells)| cells.len()).sum());
        for (series, cells) in all {
            let [org, user, meter, dimensions] = unpack(series).map(|rank| &*texts[order[rank as usize] as usize]);
            let org: Option<OrgId> = (!org.is_empty()).then(|| org.parse()).transpose().map_err(damaged)?;
            let user: Option<UserId> = (!user.is_empty()).then(|| user.parse()).transpose().map_err(damaged)?;
            rows.extend(cells.into_iter().map(|cell| RolledUp {
                org,
                user,
                meter: meter.to_owned(),
                dimensions: dimensions.to_owned(),
                bucket_us: cell.bucket_us,
                quantity: QuantityNano(cell.quantity),
                records: cell.records,
            }));
        }
        Ok(rows)
    }
}
