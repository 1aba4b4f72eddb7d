//! The tests. Each says which change of the code it catches.

mod access;
mod asking;
mod asking_outbox;
mod commands;
mod committed;
mod damage;
mod failing;
mod interrupted;
mod journey;
mod ledger;
mod letters_back;
mod looking;
mod network;
mod nodes;
mod odd_records;
mod odd_values;
mod operating;
mod other_clients;
mod outages;
mod outbox;
mod pausing;
mod quick_start;
mod refused_letters;
mod replaying;
mod sharing;
mod table;
mod topic_changes;
mod unhandled;
mod usage;
mod work;

use crate::harness::Scenario;

/// All of them; long ones first, so that none runs alone at the end.
pub fn all() -> Vec<Scenario> {
    [
        nodes::scenarios(),
        network::scenarios(),
        operating::scenarios(),
        table::scenarios(),
        sharing::scenarios(),
        access::scenarios(),
        asking::scenarios(),
        asking_outbox::scenarios(),
        damage::scenarios(),
        outbox::scenarios(),
        pausing::scenarios(),
        replaying::scenarios(),
        looking::scenarios(),
        outages::scenarios(),
        quick_start::scenarios(),
        commands::scenarios(),
        interrupted::scenarios(),
        ledger::scenarios(),
        refused_letters::scenarios(),
        letters_back::scenarios(),
        committed::scenarios(),
        failing::scenarios(),
        topic_changes::scenarios(),
        journey::scenarios(),
        odd_records::scenarios(),
        odd_values::scenarios(),
        other_clients::scenarios(),
        unhandled::scenarios(),
        usage::scenarios(),
    ]
    .concat()
}
