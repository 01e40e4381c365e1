//! What DataFusion's serialised plans leave out of a file scan: its compression, and how our CSV
//! source reads nulls. It travels beside the plan, in the plan's own order.

use std::sync::Arc;

use datafusion::{
    common::{
        Result, TableReference,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    datasource::{
        file_format::file_compression_type::FileCompressionType,
        physical_plan::{CsvSource, FileScanConfig, FileScanConfigBuilder},
        source::DataSourceExec,
    },
    physical_plan::ExecutionPlan,
};

use crate::{csv::NamedCsv, named::NamedFiles};

/// What a plan's serialised form leaves out of one file scan.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ScanDetail {
    /// The extension that names the compression; empty: none.
    #[prost(string, tag = "1")]
    pub(crate) compression: String,
    /// The text that CSV files have for null.
    #[prost(string, optional, tag = "2")]
    pub(crate) null_value: Option<String>,
}

/// The file scan at this node, if it is one.
pub(crate) fn file_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()
}

/// The table that a file scan reads.
pub(crate) fn table_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&str> {
    let first = file_scan(plan)?.file_groups.iter().find_map(|group| group.files().first())?;
    first.table_reference.as_ref().map(TableReference::table)
}

/// What serialising leaves out, for each file scan of a plan.
pub(crate) fn details(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<ScanDetail>> {
    let mut details = Vec::new();
    plan.apply(|node| {
        if let Some(scan) = file_scan(node) {
            let csv = scan.file_source().downcast_ref::<NamedCsv>();
            details.push(ScanDetail {
                compression: scan.file_compression_type.get_variant().to_string(),
                null_value: csv.and_then(NamedCsv::null_value).cloned(),
            });
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(details)
}

/// Puts back what serialising left out, for a plan that is about to run.
pub(crate) fn restore(
    plan: Arc<dyn ExecutionPlan>,
    details: &[ScanDetail],
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut details = details.iter();
    let restored = plan.transform_down(|node| {
        let Some(scan) = file_scan(&node) else {
            return Ok(Transformed::no(node));
        };
        let Some(detail) = details.next() else {
            return Ok(Transformed::no(node));
        };
        let mut scan = FileScanConfigBuilder::from(scan.clone());
        let compression: FileCompressionType = detail.compression.parse()?;
        scan = scan.with_file_compression_type(compression);
        let scan = naming_files(named(scan.build(), detail.null_value.clone()));
        Ok(Transformed::yes(DataSourceExec::from_data_source(scan) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(restored.data)
}

/// The same scan; a CSV one with our reader.
pub(crate) fn named(scan: FileScanConfig, null_value: Option<String>) -> FileScanConfig {
    match scan.file_source().downcast_ref::<CsvSource>().cloned() {
        Some(csv) => FileScanConfigBuilder::from(scan)
            .with_source(Arc::new(NamedCsv::new(csv, null_value)))
            .build(),
        None => scan,
    }
}

/// The same scan with errors that name the file; our CSV reader's do already.
fn naming_files(scan: FileScanConfig) -> FileScanConfig {
    if scan.file_source().is::<NamedCsv>() {
        return scan;
    }
    let source = NamedFiles::around(Arc::clone(scan.file_source()));
    FileScanConfigBuilder::from(scan).with_source(Arc::new(source)).build()
}
