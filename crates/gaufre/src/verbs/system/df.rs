//! `gaufre system df`.

use gaufre_engine::Usage;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::failure::Result;
use crate::output::{self, Format, Table, ago, short_digest, si_size};
use jiff::Timestamp;

/// Print what images, containers and volumes take on disk
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also list each image and container
    #[arg(short, long, conflicts_with = "format")]
    verbose: bool,

    /// table, json, or a template such as '{{.Type}} {{.Size}}'
    #[arg(long)]
    format: Option<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let format = Format::parse(args.format.as_deref())?;
    let engine = global.engine()?;
    let usage = engine.system_df()?;
    let kinds = [("Images", usage.images), ("Containers", usage.sandboxes), ("Local Volumes", usage.volumes)];
    let rows: Vec<Value> = kinds.iter().map(|(kind, usage)| fields(kind, usage)).collect();
    let table = |rows: &[Value]| {
        let mut table = Table::new(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
        for row in rows {
            let cell = |name: &str| match row.get(name) {
                Some(Value::String(text)) => text.clone(),
                other => other.map(ToString::to_string).unwrap_or_default(),
            };
            table.row(["Type", "Total", "Active", "Size", "Reclaimable"].map(cell));
        }
        table
    };
    format.print(&rows, Value::clone, Value::clone, table, true)?;
    if args.verbose {
        let now = Timestamp::now();
        output::line("\nImages:\n")?;
        let mut images = Table::new(["IMAGE ID", "NAMES", "SIZE", "CONTAINERS"]);
        for image in engine.images()? {
            let names = if image.names.is_empty() { "<none>".to_owned() } else { image.names.join(", ") };
            images.row([
                short_digest(&image.id).to_owned(),
                names,
                si_size(image.size_bytes),
                image.sandboxes.to_string(),
            ]);
        }
        images.print(true)?;
        output::line("\nContainers:\n")?;
        let mut containers = Table::new(["CONTAINER ID", "IMAGE", "CREATED", "STATUS", "NAMES"]);
        for sandbox in engine.list(true)? {
            containers.row([
                short_digest(&sandbox.id).to_owned(),
                short_digest(&sandbox.image_id).to_owned(),
                ago(sandbox.created_at, now),
                sandbox.state.name().to_owned(),
                sandbox.name.clone(),
            ]);
        }
        containers.print(true)?;
    }
    Ok(0)
}

fn fields(kind: &str, usage: &Usage) -> Value {
    let percent = (usage.reclaimable_bytes.saturating_mul(100)).checked_div(usage.bytes).unwrap_or(0);
    json!({
        "Type": kind,
        "Total": usage.count,
        "Active": usage.active,
        "RawSize": usage.bytes,
        "RawReclaimable": usage.reclaimable_bytes,
        "TotalCount": usage.count,
        "Size": si_size(usage.bytes),
        "Reclaimable": format!("{} ({percent}%)", si_size(usage.reclaimable_bytes)),
    })
}
