import Kernel

/// The file of a tool: its name, what it does, and the JSON Schema of its input, in the forms that model APIs and MCP
/// have for it.
enum BundleTool {
    private static let schemaNames = ["inputSchema", "input_schema", "parameters"]

    /// What is wrong with a tool's file. One that is no YAML or JSON, such as a program, is only kept.
    static func findings(_ file: BundleFile) -> [BundleFinding] {
        let ending = file.path.split(separator: ".").last.map { $0.lowercased() } ?? ""
        guard ["yaml", "yml", "json"].contains(ending) else { return [] }
        let document: MarkedYAML
        do { document = try MarkedYAML(file.content) } catch {
            return [BundleFinding(.schema, file.path, line: error.line, column: error.column, error.reason)]
        }
        func fault(_ node: MarkedYAML, _ message: String) -> BundleFinding {
            BundleFinding(.schema, file.path, line: node.line, column: node.column, message)
        }
        guard case .mapping = document.content else {
            return [fault(document, "a tool has members: name, description, inputSchema")]
        }
        // OpenAI's form wraps what all have.
        let tool = document.member("function") ?? document
        var found: [BundleFinding] = []
        if let name = tool.member("name") {
            let text = (try? name.text()) ?? ""
            if !isName(text) {
                found.append(fault(name, "a tool's name has 1 to 128 letters, digits, _, - and ."))
            }
        }
        if let description = tool.member("description"), (try? description.text()) == nil {
            found.append(fault(description, "description: a text is expected"))
        }
        guard let schema = schemaNames.lazy.compactMap({ tool.member($0) }).first else { return found }
        let value = BundleManifest.json(schema)
        guard value.object != nil else { return found + [fault(schema, "a JSON Schema is an object")] }
        if let type = value["type"], type != .string("object") {
            found.append(fault(schema.member("type") ?? schema, "the input of a tool is an object: `type: object`"))
        }
        do { _ = try JSONSchema(value, field: "") } catch let problem as Problem {
            let path = (problem.field ?? "").split(separator: "/").map(String.init)
            found.append(fault(schema.descendant(path), problem.detail))
        } catch {
            found.append(fault(schema, "\(error)"))
        }
        return found
    }

    /// The name that a tool's file gives it, where that is one that models take.
    static func name(_ file: BundleFile) -> (text: String, line: Int, column: Int)? {
        let ending = file.path.split(separator: ".").last.map { $0.lowercased() } ?? ""
        guard ["yaml", "yml", "json"].contains(ending), let document = try? MarkedYAML(file.content),
            let node = (document.member("function") ?? document).member("name"), let text = try? node.text(),
            isName(text)
        else { return nil }
        return (text, node.line, node.column)
    }

    /// By the names of the bundle's tools, those that their files give them, where they are others: models see those.
    static func names(_ manifest: BundleManifest, _ bundle: AgentBundle) -> [String: String] {
        manifest[.tools].reduce(into: [:]) { names, entry in
            guard let name = entry.value.string.flatMap({ bundle[$0] }).flatMap(Self.name), name.text != entry.name
            else { return }
            names[entry.name] = name.text
        }
    }

    /// Tools that models see under another name than the bundle, and under one that another tool has.
    static func nameFindings(_ manifest: BundleManifest, _ bundle: AgentBundle) -> [BundleFinding] {
        var found: [BundleFinding] = []
        var paths: [String: String] = [:]
        for entry in manifest[.tools] {
            guard let path = entry.value.string, let file = bundle[path] else { continue }
            let told = name(file)
            if let told, told.text != entry.name {
                found.append(
                    BundleFinding(
                        .toolName, path, line: told.line, column: told.column,
                        "models see this tool as \"\(told.text)\", and \(AgentBundle.manifestPath) calls it "
                            + "\"\(entry.name)\": name it there `\(told.text): \(path.prefix(80))`"))
            }
            let seen = told?.text ?? entry.name
            guard let other = paths.updateValue(path, forKey: seen) else { continue }
            found.append(
                BundleFinding(
                    .toolName, path, line: told?.line ?? 1, column: told?.column ?? 1,
                    "models see this tool as \"\(seen)\", and that of \"\(other.prefix(80))\" too"))
        }
        return found
    }

    /// What MCP and the model APIs take.
    private static func isName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.unicodeScalars.allSatisfy {
                $0.isASCII
                    && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || $0 == "_" || $0 == "-" || $0 == ".")
            }
    }
}

extension MarkedYAML {
    /// A member of a mapping; `nil` where there is none.
    func member(_ name: String) -> MarkedYAML? {
        guard case .mapping(let members) = content else { return nil }
        return members.first { (try? $0.key.text()) == name }?.value
    }

    /// As far down a path of members and indices as there is something.
    func descendant(_ path: [String]) -> MarkedYAML {
        var node = self
        for name in path {
            if let next = node.member(name) {
                node = next
            } else if case .sequence(let elements) = node.content, let index = Int(name),
                elements.indices.contains(index)
            {
                node = elements[index]
            } else {
                break
            }
        }
        return node
    }
}
