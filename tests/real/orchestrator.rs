//! The life cycle of OMOTES' jobs on a real PostgreSQL. Bytes go straight to the takers, as a broker would
//! deliver them, and letters are read from the outbox: no broker is needed.

mod kills;
mod life;
mod orders;
mod outbox;
pub mod place;
mod speed;
mod tables;
mod time;
mod trouble;
