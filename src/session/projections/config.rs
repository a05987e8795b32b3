//! What people have chosen: providers, a model, an agent, rules.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{
    Event,
    keyed::{Keyed, Named},
    merge::{keep_other, set},
};
use crate::{
    limits,
    projection::Projection,
    session::vocabulary::{
        Id, KnownEvent,
        config::{ConfigModelSelected, ConfigRuleToggled},
    },
};

/// A provider that can be used.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// The provider.
    pub provider: Id,
    /// How it is reached.
    pub config: Option<Map<String, Value>>,
    /// The event that added it.
    pub offset: u64,
    /// The event that changed it last.
    pub updated_offset: u64,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Named for Provider {
    type Key = Id;

    fn key(&self) -> Id {
        self.provider.clone()
    }
}

/// A rule that is on or off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The rule.
    pub rule: Id,
    /// It is on.
    pub enabled: bool,
    /// The event that said so.
    pub updated_offset: u64,
}

impl Named for Rule {
    type Key = Id;

    fn key(&self) -> Id {
        self.rule.clone()
    }
}

/// What people have chosen.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The providers that can be used.
    pub providers: Keyed<Provider>,
    /// The model that was chosen, with its provider.
    pub model: Option<ConfigModelSelected>,
    /// The agent that was chosen.
    pub agent: Option<Id>,
    /// The rules that were ever switched.
    pub rules: Keyed<Rule>,
    /// The event that changed any of it last; 0 where none did.
    pub updated_offset: u64,
}

impl Projection for Config {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "config";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        match &event.known {
            Some(KnownEvent::ConfigProviderAdded(said)) => {
                self.provider(event, &said.provider, said.config.as_ref(), &said.other);
            }
            Some(KnownEvent::ConfigProviderUpdated(said)) => {
                self.provider(event, &said.provider, said.config.as_ref(), &said.other);
            }
            Some(KnownEvent::ConfigProviderRemoved(said)) => {
                self.providers.remove(&said.provider);
            }
            Some(KnownEvent::ConfigModelSelected(said)) => self.model = Some(said.clone()),
            Some(KnownEvent::ConfigRuleToggled(said)) => self.rule(event, said),
            Some(KnownEvent::ConfigAgentSelected(said)) => self.agent = Some(said.agent.clone()),
            _ => return,
        }
        self.updated_offset = event.offset;
    }
}

impl Config {
    fn provider(
        &mut self,
        event: &Event<'_>,
        id: &Id,
        config: Option<&Map<String, Value>>,
        other: &Map<String, Value>,
    ) {
        let provider = self.providers.entry(id, || Provider {
            provider: id.clone(),
            config: None,
            offset: event.offset,
            updated_offset: event.offset,
            other: Map::new(),
        });
        set(&mut provider.config, config);
        keep_other(&mut provider.other, other, &[]);
        provider.updated_offset = event.offset;
        self.providers.trim(limits::CONFIG_ENTRIES_MAX, |provider| provider.updated_offset);
    }

    fn rule(&mut self, event: &Event<'_>, said: &ConfigRuleToggled) {
        let (rule, enabled) = (said.rule.clone(), said.enabled);
        self.rules.put(Rule { rule, enabled, updated_offset: event.offset });
        self.rules.trim(limits::CONFIG_ENTRIES_MAX, |rule| rule.updated_offset);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::projections::testing::{fold, text_of};

    #[test]
    fn what_was_chosen_last_stands() {
        let config: Config = fold(&[
            ("config.provider.added", json!({"provider": "a", "config": {"url": "x"}, "tier": 1})),
            ("config.provider.added", json!({"provider": "b"})),
            ("config.provider.updated", json!({"provider": "a", "config": {"url": "y"}})),
            ("config.provider.removed", json!({"provider": "b"})),
            ("config.model.selected", json!({"provider": "a", "model": "m1"})),
            ("config.model.selected", json!({"model": "m2"})),
            ("config.rule.toggled", json!({"rule": "ask", "enabled": true})),
            ("config.rule.toggled", json!({"rule": "ask", "enabled": false})),
            ("config.agent.selected", json!({"agent": "coder"})),
        ]);
        insta::assert_snapshot!(text_of(&config), @r#"
        agent: "coder"
        model: {"model":"m2"}
        providers: [{"config":{"url":"y"},"offset":1,"provider":"a","tier":1,"updatedOffset":3}]
        rules: [{"enabled":false,"rule":"ask","updatedOffset":8}]
        updatedOffset: 9
        "#);
    }

    #[test]
    fn beyond_the_bound_the_entry_unchanged_for_longest_goes() {
        let max = limits::CONFIG_ENTRIES_MAX;
        let rule =
            |n: usize| ("config.rule.toggled", json!({"rule": format!("r{n}"), "enabled": true}));
        let events: Vec<_> = (0..max).chain([0, max]).map(rule).collect();
        let config: Config = fold(&events);
        let there = |id: &str| config.rules.get(&Id::new(id).unwrap()).is_some();
        assert_eq!(config.rules.len(), max);
        assert!(there("r0") && !there("r1"));
    }
}
