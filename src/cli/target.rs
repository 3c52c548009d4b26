//! What a person means by a target: a table, or one chunk of it.

use crate::problem::{Problem, Result};
use crate::retention::name::RelationName;
use crate::retention::plan::{ChunkPlan, DatasetPlan, Plan};

pub enum Target<'a> {
    Dataset(&'a DatasetPlan),
    Chunk(&'a DatasetPlan, &'a ChunkPlan),
}

pub fn parse(text: &str) -> Result<RelationName> {
    text.parse().map_err(|why| Problem::usage(why).hint("name a table or a chunk as schema.name"))
}

/// Finds a target in a plan of everything.
pub fn find<'a>(plan: &'a Plan, name: &RelationName) -> Option<Target<'a>> {
    if let Some(dataset) = plan.datasets.iter().find(|dataset| dataset.name == *name) {
        return Some(Target::Dataset(dataset));
    }
    plan.datasets.iter().find_map(|dataset| {
        let is_it = |chunk: &&ChunkPlan| chunk.chunk.parts.iter().any(|part| part.relation == *name);
        dataset.chunks.iter().find(is_it).map(|chunk| Target::Chunk(dataset, chunk))
    })
}

pub fn unknown(name: &RelationName) -> Problem {
    Problem::usage(format!("there is no table and no chunk {name}"))
        .hint("`timesweep plan --all` lists every chunk; names are compared letter by letter")
}
