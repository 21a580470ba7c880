mod settings;

pub use settings::Migration;
