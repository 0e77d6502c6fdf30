"""What the Open Responses specification asks of a server, measured sentence by sentence.

Source: https://www.openresponses.org/specification (2026-04-24). The schema of its OpenAPI document comes from the
package ``openresponses-types``. Each test names the sentence it measures; ``docs/open-responses.md`` lists them.
"""
