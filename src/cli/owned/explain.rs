//! `explain NAME` on owned data.

use super::{OpenedOwned, ids};
use crate::cli::{Common, exit, open, output, signals};
use crate::problem::Result;
use crate::report::explain;

pub async fn explain(common: &Common, opened: &OpenedOwned, target: &str) -> Result<u8> {
    let name = ids::dataset(target)?;
    let history = match open::existing_state(&opened.state_path).await? {
        Some(state) => {
            let history = state.history_of_dataset(&opened.store.identity().await?, &name).await?;
            state.close().await?;
            history
        }
        None => Vec::new(),
    };
    let explanation = opened.pass("explain", signals::stop_token(), None).explain(&name, &history).await?;
    output::print(common.output, || explain::render(&explanation), &explanation)?;
    Ok(exit::DONE)
}
