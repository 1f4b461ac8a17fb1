"""What does this machine bring along, and will it do?"""
