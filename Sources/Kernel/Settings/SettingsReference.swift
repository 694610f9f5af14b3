/// The documents that are made from ``SettingsTable``: the reference, and what `reeve settings show` prints.
public enum SettingsReference {
    /// The page `docs/reference/settings.md`.
    public static var markdown: String {
        var text = """
            # Settings

            Reeve takes its settings from, each over the one before: the defaults below, the file `reeve.yaml` (or the \
            one that `--config` names), the environment, and flags. A name that is no setting is refused with its place.

            In the file, a setting stands below its group:

            ```yaml
            http:
              port: 8080
            limits:
              bodyBytes: 1048576
            ```

            `reeve settings check` judges a file, `reeve settings show` prints what is in effect and where it came from.

            """
        var group = ""
        let defaults = Settings()
        for entry in SettingsTable.entries {
            if entry.group != group {
                group = entry.group
                text += "\n## \(group)\n\n| setting | variable | default | takes | counts at | meaning |\n"
                text += "|---|---|---|---|---|---|\n"
            }
            let takes = entry.unit.isEmpty ? entry.allowed : "\(entry.allowed) (\(entry.unit))"
            let value = entry.show(defaults)
            text += "| `\(entry.path)` | `\(entry.environmentName)` | \(value.isNull ? "none" : "`\(words(value))`") "
            text += "| \(takes) | \(entry.effect == .live ? "once" : "the next start") | \(entry.summary) |\n"
        }
        text += SettingsSections.markdown
        text += "\n## Variables that are no settings\n\n| variable | meaning |\n|---|---|\n"
        for variable in SettingsTable.otherVariables { text += "| `\(variable.name)` | \(variable.summary) |\n" }
        text += "| `\(SettingsTable.testVariablePrefix)…` | Read by Reeve's own tests. |\n"
        return text
    }

    /// Every setting in effect, for programs. Passwords stand as `***`.
    public static func document(_ loaded: LoadedSettings) -> JSONValue {
        let items = SettingsTable.entries.map { entry -> JSONValue in
            [
                "path": .string(entry.path), "value": entry.show(loaded.settings),
                "origin": .string(loaded.origin(entry.path).rawValue),
                "environment": .string(entry.environmentName), "unit": .string(entry.unit),
                "takes": .string(entry.allowed), "effect": .string(entry.effect.rawValue),
                "summary": .string(entry.summary),
            ]
        }
        return ["items": .array(items)]
    }

    /// Every setting in effect, for people: a settings file, with the origin of each value behind it.
    public static func listing(_ loaded: LoadedSettings) -> String {
        var text = ""
        var group = ""
        for entry in SettingsTable.entries {
            if entry.group != group {
                group = entry.group
                text += "\(group):\n"
            }
            let name = entry.path.dropFirst(group.count + 1)
            let line = "  \(name): \(entry.show(loaded.settings).text)"
            text += line + String(repeating: " ", count: max(1, 44 - line.count)) + "# "
            text += loaded.origin(entry.path).rawValue + (entry.unit.isEmpty ? "" : ", \(entry.unit)") + "\n"
        }
        return text
    }

    private static func words(_ value: JSONValue) -> String { value.string ?? value.text }
}
