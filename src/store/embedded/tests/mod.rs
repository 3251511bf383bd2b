//! What the store claims, over a domain of plain keys and values.

mod ahead;
mod audit;
mod backing;
mod bases;
mod beside;
mod blobs;
mod checking;
mod collecting;
mod crash;
mod damage;
mod erasing;
mod faults;
mod full;
mod groups;
mod killed;
mod kit;

mod migrating;
mod million;
mod opening;
mod speed;
mod stripping;
