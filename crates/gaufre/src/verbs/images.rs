//! `gaufre images`.

mod filter;

use gaufre_engine::ImageSummary;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::{Filter as _, fits_all};
use crate::cli::Global;
use crate::failure::Result;
use crate::output::{self, Format, Table, ago, go_time, short_digest, si_size};
use filter::Filter;

/// List images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    // There are no intermediate images: nothing is built here.
    #[arg(short, long, hide = true)]
    all: bool,

    /// Print only IDs
    #[arg(short, long)]
    quiet: bool,

    /// Also print the digests of manifests
    #[arg(long)]
    digests: bool,

    /// Do not shorten IDs
    #[arg(long)]
    no_trunc: bool,

    /// Print no headings
    #[arg(short, long)]
    noheading: bool,

    /// List only what fits: dangling=true, reference=NAME, label=KEY[=VALUE],
    /// id=ID, containers=true
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,

    /// table, json, or a template such as '{{.ID}} {{.Repository}}'
    #[arg(long)]
    format: Option<String>,

    /// List only images of this name
    image: Option<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let format = Format::parse(args.format.as_deref())?;
    let mut images = global.engine()?.images()?;
    images.retain(|image| fits_all(&args.filter, image));
    if let Some(name) = &args.image {
        let named = Filter::Reference(name.clone());
        images.retain(|image| named.fits(image));
    }
    if args.quiet && args.format.is_none() {
        images.iter().try_for_each(|image| output::line(id(image, args.no_trunc)))?;
        return Ok(0);
    }
    let now = Timestamp::now();
    if let Format::Json = format {
        // Not a row for each name, as in the table.
        output::print_json(&images.iter().map(podman_json).collect::<Vec<_>>())?;
        return Ok(0);
    }
    let rows: Vec<Row<'_>> = images.iter().flat_map(Row::of).collect();
    format.print(
        &rows,
        |row| podman_json(row.image),
        |row| row.fields(args.no_trunc, now),
        |rows| {
            let mut titles = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
            if args.digests {
                titles.insert(2, "DIGEST");
            }
            let mut table = Table::new(titles);
            for row in rows {
                let mut cells = vec![
                    row.repository.to_owned(),
                    row.tag.to_owned(),
                    id(row.image, args.no_trunc),
                    created(row.image).map(|time| ago(time, now)).unwrap_or_default(),
                    si_size(row.image.size_bytes),
                ];
                if args.digests {
                    cells.insert(2, row.digest().to_owned());
                }
                table.row(cells);
            }
            table
        },
        !args.noheading,
    )?;
    Ok(0)
}

fn id(image: &ImageSummary, whole: bool) -> String {
    match whole {
        true => format!("sha256:{}", image.id),
        false => short_digest(&image.id).to_owned(),
    }
}

fn created(image: &ImageSummary) -> Option<Timestamp> {
    image.created.as_deref()?.parse().ok()
}

/// A name of an image; one without names has a row too.
#[derive(Debug)]
struct Row<'a> {
    image: &'a ImageSummary,
    name: Option<&'a str>,
    repository: &'a str,
    tag: &'a str,
}

/// Podman's word for a name that is not there.
const NONE: &str = "<none>";

impl<'a> Row<'a> {
    fn of(image: &'a ImageSummary) -> Vec<Self> {
        if image.names.is_empty() {
            return vec![Self { image, name: None, repository: NONE, tag: NONE }];
        }
        let row = |name: &'a String| {
            let (repository, tag) = split(name);
            Self { image, name: Some(name), repository, tag }
        };
        image.names.iter().map(row).collect()
    }

    fn digest(&self) -> &'a str {
        let of_name = self.name.and_then(|name| self.image.manifests.get(name));
        of_name.or_else(|| self.image.digests.first()).map_or(NONE, String::as_str)
    }

    fn fields(&self, whole: bool, now: Timestamp) -> Value {
        let created = created(self.image);
        json!({
            "ID": id(self.image, whole),
            "Id": self.image.id,
            "Repository": self.repository,
            "Tag": self.tag,
            "Digest": self.digest(),
            "Created": created.map(|time| ago(time, now)).unwrap_or_default(),
            "CreatedSince": created.map(|time| ago(time, now)).unwrap_or_default(),
            "CreatedAt": created.map(go_time).unwrap_or_default(),
            "Size": si_size(self.image.size_bytes),
            "VirtualSize": self.image.size_bytes,
            "Labels": self.image.labels,
            "Containers": self.image.sandboxes,
            "Names": self.image.names,
            "RepoDigests": self.image.repo_digests,
            "Platform": self.image.platform,
        })
    }
}

/// `docker.io/library/redis:7` into repository and tag; a port before the last slash is no tag.
fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') && !repository.contains('@') => (repository, tag),
        _ => (name.split('@').next().unwrap_or(name), NONE),
    }
}

/// What podman's JSON says of an image.
fn podman_json(image: &ImageSummary) -> Value {
    json!({
        "Id": image.id,
        "ParentId": "",
        "RepoTags": if image.names.is_empty() { Value::Null } else { json!(image.names) },
        "RepoDigests": image.repo_digests,
        "Size": image.size_bytes,
        "SharedSize": 0,
        "VirtualSize": image.size_bytes,
        "Labels": if image.labels.is_empty() { Value::Null } else { json!(image.labels) },
        "Containers": image.sandboxes,
        "Names": image.names,
        "Digest": image.digests.first(),
        "History": image.names,
        "Created": created(image).map_or(0, Timestamp::as_second),
        "CreatedAt": image.created,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_port_is_no_tag() {
        assert_eq!(split("docker.io/library/redis:7"), ("docker.io/library/redis", "7"));
        assert_eq!(split("localhost:5000/a"), ("localhost:5000/a", NONE));
        assert_eq!(split("localhost:5000/a:1"), ("localhost:5000/a", "1"));
        assert_eq!(split("quay.io/a@sha256:00"), ("quay.io/a", NONE));
    }
}
