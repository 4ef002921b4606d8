//! What a question asks of single columns, and how much of a row group answers to it.
//!
//! Statistics decide where they can. Where they cannot, the one column is read, and only rows that it leaves
//! are read from the others. Nothing here knows what is summed.

use crate::roll_up::RollUp;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicate, ArrowPredicateFn};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use parquet::schema::types::SchemaDescriptor;
use std::collections::BTreeSet;
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

/// A column, and the values of it that count.
pub(crate) struct Condition {
    column: usize,
    wanted: Wanted,
}

enum Wanted {
    Texts(BTreeSet<String>),
    Numbers(RangeInclusive<i64>),
}

/// How much of a row group a condition leaves, as far as the statistics say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// No row.
    Nothing,
    /// Perhaps some rows, perhaps all or none.
    Something,
    /// Every row.
    Everything,
}

/// The conditions of a question. Those come first that leave whole runs of the sorted rows.
pub(crate) fn conditions(question: &RollUp) -> Vec<Arc<Condition>> {
    let mut found = Vec::new();
    let mut texts = |column, texts: BTreeSet<String>| found.push((column, Wanted::Texts(texts)));
    texts(2, BTreeSet::from([question.realm.to_string()]));
    if let Some(orgs) = &question.orgs {
        texts(3, orgs.iter().map(ToString::to_string).collect());
    }
    if !question.meters.is_empty() {
        texts(6, question.meters.clone());
    }
    if let Some(user) = question.user {
        texts(5, BTreeSet::from([user.to_string()]));
    }
    found.push((10, Wanted::Numbers(question.period.start_us..=question.period.end_us - 1)));
    if let Some(batch_no) = question.as_of {
        found.push((13, Wanted::Numbers(i64::MIN..=batch_no)));
    }
    found.into_iter().map(|(column, wanted)| Arc::new(Condition { column, wanted })).collect()
}

/// The least and the greatest value of a column of whole numbers or instants, if they are known.
pub(crate) fn numbers_within(group: &RowGroupMetaData, column: usize) -> Option<(i64, i64)> {
    match group.column(column).statistics() {
        Some(Statistics::Int64(bounds)) => Some((*bounds.min_opt()?, *bounds.max_opt()?)),
        _ => None,
    }
}

impl Condition {
    /// How much of the row group is wanted.
    pub(crate) fn fit(&self, group: &RowGroupMetaData) -> Fit {
        match &self.wanted {
            Wanted::Texts(texts) => fit_texts(texts, group.column(self.column).statistics()),
            Wanted::Numbers(wanted) => match numbers_within(group, self.column) {
                Some((min, max)) if max < *wanted.start() || min > *wanted.end() => Fit::Nothing,
                Some((min, max)) if wanted.contains(&min) && wanted.contains(&max) => Fit::Everything,
                _ => Fit::Something,
            },
        }
    }

    /// The same condition for the reader of a file: it reads this column alone.
    pub(crate) fn predicate(self: &Arc<Self>, schema: &SchemaDescriptor) -> Box<dyn ArrowPredicate> {
        let own = self.clone();
        let test = move |batch: RecordBatch| Ok(own.test(batch.column(0)));
        Box::new(ArrowPredicateFn::new(ProjectionMask::leaves(schema, [self.column]), test))
    }

    fn test(&self, array: &ArrayRef) -> BooleanArray {
        match &self.wanted {
            Wanted::Texts(texts) => {
                let array = array.as_dictionary::<Int32Type>();
                let values = array.values().as_string::<i32>();
                let wanted: Vec<bool> = (0..values.len()).map(|index| texts.contains(values.value(index))).collect();
                let keys = array.keys().values();
                BooleanBuffer::collect_bool(keys.len(), |row| wanted[keys[row] as usize]).into()
            }
            Wanted::Numbers(wanted) => {
                let values = match array.data_type() {
                    DataType::Timestamp(..) => array.as_primitive::<TimestampMicrosecondType>().values(),
                    _ => array.as_primitive::<Int64Type>().values(),
                };
                BooleanBuffer::collect_bool(values.len(), |row| wanted.contains(&values[row])).into()
            }
        }
    }
}

fn fit_texts(wanted: &BTreeSet<String>, statistics: Option<&Statistics>) -> Fit {
    let Some(Statistics::ByteArray(bounds)) = statistics else { return Fit::Something };
    let text = |bytes: &'_ parquet::data_type::ByteArray| String::from_utf8(bytes.data().to_vec()).ok();
    let (Some(min), Some(max)) = (bounds.min_opt().and_then(text), bounds.max_opt().and_then(text)) else {
        return Fit::Something;
    };
    let first = wanted.range::<String, _>((Bound::Included(&min), Bound::Unbounded)).next();
    let exact = bounds.min_is_exact() && bounds.max_is_exact();
    match first {
        None => Fit::Nothing,
        Some(first) if *first > max && bounds.max_is_exact() => Fit::Nothing,
        Some(first) if exact && *first == min && min == max => Fit::Everything,
        Some(_) => Fit::Something,
    }
}
