//! One of the figures that `.ci/cost` measures: `cost FIGURE BATCHES`.

use clap::Parser;
use shared::consumer::cost::{Figure, drain};

#[derive(Parser)]
struct Arguments {
    figure: Figure,
    batches: usize,
}

fn main() -> anyhow::Result<()> {
    let Arguments { figure, batches } = Arguments::parse();
    drain(figure, batches).map(drop)
}
