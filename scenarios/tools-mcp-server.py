"""An MCP server with two tools, for the scenario tools-mcp.yaml. Needs the extra `mcp`."""

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

PRICES = {"apple": 3, "bread": 4, "cheese": 7, "honey": 9}
server = MCPServer("market")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def price(item: str) -> str:
    """Gives the price of an item in coins: apple, bread, cheese or honey."""
    return str(PRICES[item]) if item in PRICES else f"there is no {item}"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def total(items: list[str]) -> str:
    """Gives the price of several items together."""
    return str(sum(PRICES[item] for item in items))


if __name__ == "__main__":
    server.run("stdio")
